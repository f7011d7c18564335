"""What every op makes of a score that defines no probabilities: NaN for its own row, in value and gradient."""

from contextlib import nullcontext

import pytest
import torch

import anymax

INFINITY = float("inf")
NAN = float("nan")
TARGET = torch.tensor([1, 1, 2])
SEED = torch.tensor(3)


def gumbel_softmax(**options):
    return lambda x, temperature: anymax.gumbel_softmax(x, temperature, dim=1, generator=SEED, **options)


CALLS = {
    "softmax": lambda x, temperature: anymax.softmax(x, 1, temperature=temperature),
    "softmin": lambda x, temperature: anymax.softmin(-x, 1, temperature=temperature),
    "log_softmax": lambda x, temperature: anymax.log_softmax(x, 1, temperature=temperature),
    "entropy": lambda x, temperature: anymax.entropy(x, 1, temperature=temperature),
    "log_prob": lambda x, temperature: anymax.log_prob(x, TARGET, temperature=temperature)[0],
    "sparsemax": lambda x, temperature: anymax.sparsemax(x, 1, temperature=temperature),
    "entmax": lambda x, temperature: anymax.entmax(x, 1, temperature=temperature),
    "entmax, any alpha": lambda x, temperature: anymax.entmax(x, 1, alpha=1.25, temperature=temperature),
    "gumbel_softmax": gumbel_softmax(),
    "gumbel_softmax, hard": gumbel_softmax(hard=True),
    "gumbel_softmax, reinmax": gumbel_softmax(hard=True, estimator="reinmax"),
    "gumbel_softmax, rao": gumbel_softmax(hard=True, estimator="rao", num_samples=3),
    **{
        loss.__name__: lambda x, temperature, loss=loss: loss(x, TARGET, temperature=temperature, reduction="none")
        for loss in (anymax.cross_entropy, anymax.sparsemax_loss, anymax.entmax_loss)
    },
}
TEMPERATURES = {
    "none": 1.0,
    "a number": 1.7,
    "learnt": torch.tensor(1.7, dtype=torch.float64, requires_grad=True),
    "learnt per row": torch.full((3, 1), 1.7, dtype=torch.float64, requires_grad=True),
}


def value_and_gradient(call, x, temperature):
    leaf = x.clone().requires_grad_()
    result = call(leaf, temperature)
    upstream = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).reshape(result.shape)
    return result.detach(), *torch.autograd.grad(result, leaf, upstream)


@pytest.mark.parametrize("bad", [NAN, INFINITY])
@pytest.mark.parametrize("temperature", TEMPERATURES.values(), ids=TEMPERATURES)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("backend", ["reference", "fastest"])
def test_a_score_that_is_no_number_spoils_all_of_its_row_and_no_other(backend, call, temperature, bad):
    x = torch.tensor([[1.0, 2.0, 0.5, -1.0], [0.3, 2.0, 0.5, -1.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.float64)
    with anymax.use_backend(backend) if backend == "reference" else nullcontext():
        good = value_and_gradient(call, x, temperature)
        # not the entry of the target
        x[1, 0] = bad
        for found, expected in zip(value_and_gradient(call, x, temperature), good, strict=True):
            assert found[1].isnan().all()
            assert torch.equal(found[::2], expected[::2])
