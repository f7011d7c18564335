"""What estimators cost: Gumbel-softmax's bias and variance by tau, and the bias of NCE by its draws.

First the gradient of E f(D) in the scores of three classes, D being a class drawn at random, for three objectives f.
Its exact value is a sum over the classes; bias is the length of the difference of the mean, variance the sum of the
variances of the three entries, for one sample. Then a model of 40 contexts and 300 classes whose rank is too low for
the truth, fitted by the exact expectation of noise-contrastive estimation (NCE): how many nats it is worse than the fit
by maximum likelihood.

With --fast it draws fewer samples and takes fewer steps. Table and picture are in docs/gumbel-estimators.md.

Run: python examples/estimators_figure.py --svg figure.svg
"""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

import anymax

# ---- the gradient of a mean over three classes ----

SCORES = torch.tensor([0.7, -0.4, 0.1]).double()
MATRIX = torch.tensor([[1, -0.5, 0.3], [-0.5, 2, 0.1], [0.3, 0.1, -1]]).double()
SLOPES = torch.tensor([0.3, -0.7, 0.5]).double()
EXPONENTS = torch.tensor([1, -1, 0.5]).double()
OBJECTIVES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda d: d @ SLOPES,
    "quadratic": lambda d: 0.5 * ((d @ MATRIX) * d).sum(-1) + d @ SLOPES,
    "exponential": lambda d: (d @ EXPONENTS).exp(),
}
Draw = Callable[[Tensor, float], Tensor]
ESTIMATORS: dict[str, Draw] = {
    "straight-through": lambda x, tau: anymax.gumbel_softmax(x, tau, True, dim=1),
    "rao, 10 samples": lambda x, tau: anymax.gumbel_softmax(x, tau, True, dim=1, estimator="rao"),
    "reinmax": lambda x, tau: anymax.gumbel_softmax(x, tau, True, dim=1, estimator="reinmax"),
    "soft": lambda x, tau: anymax.gumbel_softmax(x, tau, dim=1),
}
REINFORCE = "REINFORCE"
TAUS = (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)


class Quality(NamedTuple):
    bias: float
    error: float  # one standard error of the bias
    variance: float


def exact(objective: str) -> Tensor:
    x = SCORES.clone().requires_grad_()
    values = OBJECTIVES[objective](torch.eye(3).double())
    return torch.autograd.grad(anymax.softmax(x, 0) @ values, x)[0]


def quality(name: str, objective: str, tau: float, draws: int) -> Quality:
    torch.manual_seed(0)
    x = SCORES.expand(draws, 3).clone().requires_grad_()
    if name == REINFORCE:
        ids = anymax.sample(x, 1)
        values = OBJECTIVES[objective](torch.eye(3).double())[ids]
        surrogate = anymax.log_prob(x, ids).log_prob * values
    else:
        surrogate = OBJECTIVES[objective](ESTIMATORS[name](x, tau))
    (found,) = torch.autograd.grad(surrogate.sum(), x)
    variance = found.var(0).sum().item()
    return Quality((found.mean(0) - exact(objective)).norm().item(), (variance / draws) ** 0.5, variance)


def print_table(draws: int) -> None:
    print(f"bias and variance of one sample, {draws:,} draws; a bias is right to about two of the errors behind it")
    print(f"{'':26}" + "".join(f"{objective:>25}" for objective in OBJECTIVES))
    for name, taus in {
        REINFORCE: (1.0,),
        "straight-through": (0.1, 0.5, 1.0, 2.0),
        "rao, 10 samples": (0.1, 0.5, 1.0, 2.0),
        "reinmax": (1.0, 1.5, 2.0),
        "soft": (0.1, 0.5, 1.0),
    }.items():
        for tau in taus:
            cells = [quality(name, objective, tau, draws) for objective in OBJECTIVES]
            label = name if name == REINFORCE else f"{name}, tau {tau}"
            print(f"{label:26}" + "".join(f"   {q.bias:.4f} ({q.error:.4f}) {q.variance:7.4f}" for q in cells))


# ---- the fit by noise-contrastive estimation ----

CONTEXTS, CLASSES, TRUE_RANK, RANK = 40, 300, 8, 3


def truth() -> Tensor:
    """Probabilities (CONTEXTS, CLASSES): Zipf's law, moved by products of TRUE_RANK features."""
    generator = torch.Generator().manual_seed(0)
    moves = torch.randn(CONTEXTS, TRUE_RANK, generator=generator) @ torch.randn(TRUE_RANK, CLASSES, generator=generator)
    zipf = -torch.arange(1, CLASSES + 1).log()
    return anymax.softmax((zipf + moves / TRUE_RANK**0.5).double(), 1)


def fit(loss: Callable[[Tensor], Tensor], parameters: Sequence[Tensor], steps: int) -> list[Tensor]:
    leaves = [parameter.clone().requires_grad_() for parameter in parameters]
    optimizer = torch.optim.LBFGS(
        leaves, max_iter=steps, tolerance_grad=1e-9, tolerance_change=1e-13, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(scores_of(leaves))
        value.backward()
        return value

    optimizer.step(closure)
    return [leaf.detach() for leaf in leaves]


def scores_of(parameters: Sequence[Tensor]) -> Tensor:
    features, table, bias, *bias_of_context = parameters
    return features @ table + bias + (bias_of_context[0] if bias_of_context else 0.0)


def excess_of_nce(draws: Sequence[int], bias_of_context: bool, steps: int) -> list[float]:
    """For each number of draws, nats above the fit by maximum likelihood, after normalising."""
    p = truth()
    law = anymax.noise.Unigram(p.mean(0))
    log_q = law.log_prob(torch.arange(CLASSES))
    generator = torch.Generator().manual_seed(1)
    start = [
        0.1 * torch.randn(CONTEXTS, RANK, generator=generator).double(),
        0.1 * torch.randn(RANK, CLASSES, generator=generator).double(),
        p.mean(0).log(),
    ]
    best = fit(lambda scores: anymax.cross_entropy(scores, p), start, steps)
    least = anymax.cross_entropy(scores_of(best), p)
    if bias_of_context:
        best.append(-anymax.logsumexp(scores_of(best), 1, keepdim=True))
    else:
        # no scale of Z that all contexts share is missing
        best[2] = best[2] - anymax.logsumexp(scores_of(best), 1).mean()
    found = []
    for k in draws:
        log_count = log_q + math.log(k)
        total = p + log_count.exp()

        def expected(scores: Tensor, log_count: Tensor = log_count, total: Tensor = total) -> Tensor:
            """The expectation of `nce_loss` over targets and draws: data against noise, by the odds of both."""
            odds = scores - log_count
            return anymax.binary_cross_entropy_with_logits(odds, p / total, total, reduction="sum") / CONTEXTS

        fitted = fit(expected, best, steps)
        found.append((anymax.cross_entropy(scores_of(fitted), p) - least).item())
    return found


# ---- the picture ----

LOOKS = {
    "straight-through": ("#D55E00", "o"),
    "rao, 10 samples": ("#0072B2", "s"),
    "reinmax": ("#009E73", "^"),
    "soft": ("#CC79A7", "D"),
    REINFORCE: ("#000000", ""),
}


def draw_picture(path: Path, excess: dict[str, list[float]], ks: Sequence[int], draws: int) -> None:
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.8), layout="constrained")
    biases, variances, contrast = figure.subplots(1, 3)
    for name, (colour, marker) in LOOKS.items():
        taus = [tau for tau in TAUS if tau >= 1] if name == "reinmax" else TAUS
        found = [quality(name, "exponential", tau, draws) for tau in taus]
        for axes, values in ((biases, [q.bias for q in found]), (variances, [q.variance for q in found])):
            line = "--" if name == REINFORCE else "-"
            if name != REINFORCE or axes is variances:
                axes.plot(taus, values, line, color=colour, marker=marker, markersize=4, label=name)
    biases.set(title="bias of the gradient", xlabel="tau", xscale="log", ylim=(0, None))
    variances.set(title="variance of one sample", xlabel="tau", xscale="log", yscale="log")
    for axes in (biases, variances):
        axes.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
        axes.minorticks_off()
    variances.legend(fontsize=8, frameon=False)
    for (name, values), colour, marker in zip(excess.items(), ("#D55E00", "#0072B2"), "os", strict=True):
        contrast.plot(ks, values, color=colour, marker=marker, markersize=4, label=name)
    contrast.set(title="NCE: nats above maximum likelihood", xlabel="draws k", xscale="log", yscale="log")
    contrast.legend(fontsize=8, frameon=False)
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "anymax"}):
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--svg", type=Path, help="where to draw the picture")
    parser.add_argument("--fast", action="store_true", help="fewer samples, draws and steps")
    options = parser.parse_args()
    draws, ks, steps = (20_000, (1, 100), 100) if options.fast else (400_000, (1, 3, 10, 30, 100, 300, 1000), 2000)
    print_table(draws)
    excess = {
        "a model without a bias per context": excess_of_nce(ks, False, steps),
        "with a bias per context": excess_of_nce(ks, True, steps),
    }
    print("\nNCE by k draws, nats above maximum likelihood")
    print(f"{'k':36}" + "".join(f"{k:>9}" for k in ks))
    for name, values in excess.items():
        print(f"{name:36}" + "".join(f"{value:9.5f}" for value in values))
    if options.svg:
        draw_picture(options.svg, excess, ks, draws)


if __name__ == "__main__":
    main()
