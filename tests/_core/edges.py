"""A program: every kernel at every edge of a row, for a library that is built with sanitizers.

A row is any number of entries from none to two vectors and one more, and starts and ends anywhere in a vector. Answers
are not looked at; a read or write beside the memory of a tensor ends the program.
"""

import sys

import torch

import anymax
from anymax._core.native import native
from anymax.ops.binary.api import one_vs_rest_loss

BYTES = {"v2": 16, "v3": 32, "v4": 64, "a1": 16}
INFINITY = float("inf")


def softmax_family(scores, dim):
    mask = scores.detach() > -1
    temperature = torch.tensor(2.0, requires_grad=True)
    for function in (anymax.softmax, anymax.log_softmax):
        yield function(scores, dim)
        for option in (2.0, temperature):
            yield function(scores, dim, mask=mask, temperature=option, sink=0.5)
    yield anymax.logsumexp(scores, dim)
    yield anymax.logsumexp(scores, dim, mask=mask, sink=0.5)


def softmax_columns(scores, dim):
    """Strips of columns and what is left of one, whose rows have as many entries as a row has."""
    inner = scores.sum() + torch.zeros(2, scores.shape[dim], 33 + scores.shape[dim], dtype=scores.dtype)
    for function in (anymax.softmax, anymax.log_softmax, anymax.logsumexp):
        yield function(inner, 1)


def truncation(scores, dim):
    for rules in ({"top_k": 3}, {"top_p": 0.7}, {"min_p": 0.1}, {"top_k": 5, "top_p": 0.9, "min_p": 0.01}):
        yield torch.where(anymax.keep_mask(scores, dim, **rules), scores, 0.0)


def cross_entropy_family(scores, dim):
    classes = scores.shape[dim]
    if classes == 0:
        return
    target = torch.arange(3) * 7 % classes
    target[0] = -100
    prior = {"class_prior": torch.arange(1, classes + 1)}
    for options in ({}, prior, {"label_smoothing": 0.1, "z_loss": 0.1, "weight": torch.ones(classes), **prior}):
        yield anymax.cross_entropy(scores, target, dim=dim, **options)
        yield anymax.cross_entropy(scores.detach(), target, dim=dim, reduction="none", **options).requires_grad_()
    yield anymax.ldam_loss(scores, target, torch.arange(1, classes + 1), dim=dim)


def binary_family(scores, dim):
    """Targets and weights that start where the scores do, and a weight for each class or row."""
    target, few = torch.sigmoid(scores.detach()), torch.rand(scores.shape[0], 1)
    for options in ({}, {"weight": few}, {"weight": few.to(scores.dtype), "pos_weight": target[:1].clone()}):
        for reduction in ("mean", "none"):
            yield anymax.binary_cross_entropy_with_logits(scores, target, reduction=reduction, **options)
            yield anymax.binary_cross_entropy_with_logits(
                scores.detach(), target, reduction=reduction, **options
            ).requires_grad_()


def entropy_family(scores, dim):
    classes = scores.shape[dim]
    mask = scores.detach() > -1
    for options in ({}, {"temperature": 2.0}, {"mask": mask}):
        yield anymax.entropy(scores, dim, **options)
        if classes:
            target = torch.arange(3) * 7 % classes
            target[0] = -100
            yield torch.stack(anymax.log_prob(scores, target, dim=dim, **options))


def entmax_family(scores, dim):
    classes = scores.shape[dim]
    mask, target = scores.detach() > -1, torch.arange(3) * 7 % max(classes, 1)
    target[0] = -100
    for alpha in (2.0, 1.5, 1.25):
        for options in ({}, {"mask": mask, "temperature": 2.0}):
            yield anymax.entmax(scores, dim, alpha=alpha, **options)
            if not classes:
                continue
            for weight in (None, torch.ones(classes)):
                yield anymax.entmax_loss(scores, target, dim=dim, alpha=alpha, weight=weight, **options)
            loss = anymax.entmax_loss(scores.detach(), target, dim=dim, alpha=alpha, reduction="none", **options)
            yield loss.requires_grad_()


def entmax_columns(scores, dim):
    """A strip of columns and some behind it, whose rows have as many entries as a row has."""
    inner = scores.sum() + torch.zeros(2, scores.shape[dim], 33 + scores.shape[dim], dtype=scores.dtype)
    for alpha in (2.0, 1.5, 1.25):
        yield anymax.entmax(inner, 1, alpha=alpha)


def gumbel_family(scores, dim):
    mask, seed = scores.detach() > -1, torch.tensor(5)
    for tau in (1.0, 0.5, torch.tensor(2.0, requires_grad=True)):
        for hard in (False, True):
            yield anymax.gumbel_softmax(scores, tau, hard, dim=dim, generator=seed)
            yield anymax.gumbel_softmax(scores, tau, hard, dim=dim, mask=mask, generator=seed)
    for tau in (1.0, 1.5):
        for options in ({"estimator": "reinmax"}, {"estimator": "rao", "num_samples": 2}):
            yield anymax.gumbel_softmax(scores, tau, True, dim=dim, generator=seed, **options)
            yield anymax.gumbel_softmax(scores, tau, True, dim=dim, mask=mask, generator=seed, **options)
    for k in {1, scores.shape[dim] // 2, scores.shape[dim]} - {0}:
        if k <= scores.shape[dim]:
            drawn = anymax.gumbel_topk(scores.nan_to_num(0, 0, 0), k, dim, generator=seed)
            yield drawn.log_probs + drawn.threshold
    if scores.shape[dim]:
        yield scores.sum() + anymax.sample(scores, dim, num_samples=2, generator=seed).sum()


def gumbel_blocks(scores, dim):
    """As many rows as are worked side by side, each of as many entries as a row has."""
    length = scores.shape[dim]
    inner = scores.sum() + torch.zeros(2, length, 33 + length, dtype=scores.dtype)
    for tau in (1.0, 0.5):
        for hard in (False, True):
            yield anymax.gumbel_softmax(inner, tau, hard, dim=1, generator=torch.tensor(5))
    if length:
        yield scores.sum() + anymax.sample(inner.nan_to_num(0, 0, 0), 1, generator=torch.tensor(5)).sum()
        drawn = anymax.gumbel_topk(inner.nan_to_num(0, 0, 0), (length + 1) // 2, 1, generator=torch.tensor(5))
        yield drawn.log_probs + drawn.threshold


def focal_and_asymmetric(scores, dim):
    target = torch.sigmoid(scores.detach())
    for function, options in (
        (anymax.sigmoid_focal_loss, {"gamma": 2.0}),
        (anymax.sigmoid_focal_loss, {"gamma": 0.5}),
        (anymax.asymmetric_loss, {}),
        (anymax.asymmetric_loss, {"gamma_neg": 0.5, "clip": 0.0}),
    ):
        for reduction in ("mean", "none"):
            yield function(scores, target, reduction=reduction, **options)
            yield function(scores.detach(), target, reduction=reduction, **options).requires_grad_()


def one_vs_rest(scores, dim):
    classes = scores.shape[dim]
    target = torch.tensor([-100, 0, classes - 1])
    if classes == 0:
        return
    for reduction, options in (("mean", {}), ("none", {}), ("mean", {"alpha": 0.25, "gamma": 0.5})):
        for leaf in (scores, scores.detach()):
            loss = one_vs_rest_loss(leaf, target, dim=dim, reduction=reduction, **options)
            yield loss if loss.requires_grad else loss.requires_grad_()


def linear_family(scores, dim):
    """Scores of as many classes as a row has entries, whose gradient takes their place."""
    classes = scores.shape[dim]
    if classes == 0:
        return
    features, table = scores.sum(dim).reshape(-1, 1), torch.zeros(classes, 1, dtype=scores.dtype, requires_grad=True)
    target = torch.arange(3) * 7 % classes
    prior = {"class_prior": torch.arange(1, classes + 1)}
    for options in ({}, prior, {"label_smoothing": 0.1, "z_loss": 0.1, "weight": torch.ones(classes), **prior}):
        yield anymax.linear_cross_entropy(features, table, target, **options)


def contrast(scores, dim):
    """Three queries against as many keys as a row has entries, and each way with three."""
    keys = scores.T if dim else scores
    if len(keys) == 0:
        return
    target = torch.arange(3) * 7 % len(keys)
    mask = torch.ones(3, len(keys), dtype=torch.bool)
    yield anymax.info_nce(keys[:1].repeat(3, 1), keys, target, mask=mask, log_q=torch.zeros(len(keys)))
    if len(keys) >= 3:
        yield anymax.info_nce(keys[:3], keys[:3], symmetric=True, key_ids=target)


def noise_family(scores, dim):
    """As many draws as a row has entries, and one more."""
    count = scores.shape[dim] + 1
    for law in NOISE_LAWS:
        for unique in (False, True):
            for size in (count, (2, count)):
                yield law.sample(size, unique=unique).log_expected_count + scores.sum()


def nce_family(scores, dim):
    """Scores that come from the bias alone, for as many draws as a row has entries and one more."""
    count, law = scores.shape[dim] + 1, anymax.noise.Uniform(3000)
    target, table = torch.tensor([1, 2, 3]), torch.zeros(3000, 1, dtype=scores.dtype)
    features, few = scores.sum(dim).reshape(-1, 1), torch.zeros(3000, scores.shape[dim], dtype=scores.dtype)
    # a row's own number is left out
    yield anymax.nce_loss(features, table, target, anymax.noise.InBatch(law))
    for unique in (False, True):
        for size in (count, (3, count)):
            drawn = law.sample(size, unique=unique)
            yield anymax.nce_loss(features, table, target, drawn)
            yield anymax.negative_sampling_loss(features, table, target, drawn)
            yield anymax.sampled_softmax_loss(features, table, target, drawn, correction="importance", reduction="none")
            with torch.no_grad():
                wide = anymax.nce_loss(scores.T if dim == 0 else scores, few, target % 3, drawn)
            yield wide + scores.sum()


def rectified_family(scores, dim):
    mask = scores.detach() > -1
    for function in (anymax.relumax, anymax.softpick, anymax.taylor_softmax):
        for options in ({}, {"mask": mask}):
            yield function(scores, dim, **options)
    # a polynomial of any order, and terms too large for a sum
    yield anymax.taylor_softmax(scores * 1e30, dim, order=6)
    yield anymax.softpick(scores * 1e30, dim)


NOISE_LAWS = (
    anymax.noise.Uniform(10**6),
    anymax.noise.LogUniform(10**6),
    anymax.noise.Unigram(torch.arange(1, 3001).double() ** -0.5),
)
FAMILIES = (
    softmax_family,
    softmax_columns,
    truncation,
    cross_entropy_family,
    entropy_family,
    entmax_family,
    entmax_columns,
    binary_family,
    rectified_family,
    gumbel_family,
    gumbel_blocks,
    focal_and_asymmetric,
    one_vs_rest,
    linear_family,
    contrast,
    noise_family,
    nce_family,
)


def placed(length, offset, dtype, columns):
    """Scores whose first number lies `offset` behind an aligned one, and whose last one ends their memory."""
    count = length * 3
    memory = torch.randn(offset + count).to(dtype)
    if length > 2:
        memory[offset + 1] = -INFINITY
    scores = memory[offset:].view(length, 3) if columns else memory[offset:].view(3, length)
    return scores.requires_grad_()


def main(dtypes, step):
    lanes = BYTES[native.level] // 4
    with anymax.use_backend("cpu"):
        for dtype in dtypes:
            # a double fills two lanes, and halves are computed in float32
            for length in range(2 * lanes + 2):
                for offset in range(0, lanes, step):
                    for columns in (False, True):
                        for family in FAMILIES:
                            scores = placed(length, offset, dtype, columns)
                            for result in family(scores, 0 if columns else 1):
                                result.float().nan_to_num(0, 0, 0).sum().backward()
    print(native.level, "is clean")


if __name__ == "__main__":
    whole = sys.argv[1] == "whole"
    torch.manual_seed(0)
    # one thread works through everything, so that a row's neighbours are its own
    torch.set_num_threads(1)
    if whole:
        main((torch.float32, torch.float64, torch.bfloat16, torch.float16), 1)
    else:
        main((torch.float32, torch.bfloat16), 5)
