"""What each mistake leads to and what to write instead, in the words of every engine that sees it; without the period.

What was seen stands in front and is an engine's own: reading knows words, the graph shapes, a run values.
"""

from __future__ import annotations

from collections.abc import Sequence

# AMX101, AMX108
LEGACY_RULE = "torch takes axis 0 of a tensor with 0, 1 or 3 axes and axis 1 of any other"
DRAWS_LAST = (
    "without dim draws along the last axis, wherever the classes are. Write dim=-1 to keep this, or the axis of the "
    "classes"
)

# AMX102
SAMPLES_COMPETE = "samples compete, a sample's own values do not sum to 1, and its result changes with the others"

# AMX103
ONE_CLASS = (
    "has one class, so the loss is always 0. One score per sample is a case for binary_cross_entropy_with_logits"
)

# AMX104
TWO_RANKS = "Write dim=-1 if the last axis is meant each time, or give both the same axes"

# AMX105
WEIGHTS_OF_ELSE = "the weights of a sum do not sum to 1"

# AMX107
CLASS_DIM = "the dim of the classes, often dim=1 or dim=-1"
FLAT_CHOICE = "without dim is one index into all samples together"
CHOICE_OF_SAMPLES = "chooses a sample for each class, not a class for each sample"

# AMX109
CLASSES_LAST = (
    "where the sizes coincide another loss is computed, elsewhere the call fails. Give it x.movedim(-1, 1), or write "
    "anymax.cross_entropy(x, target, dim=-1)"
)

# AMX201, of the log_softmax in front
LOG_SOFTMAX_TWICE = (
    "changes nothing, since the loss has its own. Give the scores to cross_entropy, or the log-probabilities to "
    "nll_loss"
)

# AMX203
NLL_OF_PROBS = (
    "the loss is never above 0, and its gradients do not grow where the answer is wrong. Give the scores to "
    "cross_entropy, or to log_softmax first"
)
NLL_OF_SCORES = "the loss falls without end as scores grow. Write cross_entropy, or log_softmax in front"
CTC_OF_PROBS = (
    "the loss takes their exponentials, all between 1 and 2.72, so that no alignment is unlikely. Write log_softmax "
    "over the classes for it"
)
CTC_OF_SCORES = (
    "the loss has no lower bound: it falls when the same number is added to all scores. Write log_softmax over the "
    "classes in front"
)

# AMX204
BCE_OF_OTHERS = (
    "values outside [0, 1] raise an error, and on a GPU end the process. Give the scores to "
    "binary_cross_entropy_with_logits"
)
BCE_OF_SIGMOID = (
    "loses the digits of confident answers. Write binary_cross_entropy_with_logits of the scores, which is the same in "
    "exact arithmetic"
)

# AMX205
NO_DIVERGENCE = (
    "the result is no divergence, and may be below 0. Write "
    "kl_div(log_softmax(scores, dim), target, reduction='batchmean')"
)
MEAN_OF_ENTRIES = (
    "with reduction='mean' divides by the number of entries, not of distributions. Write reduction='batchmean'"
)

# AMX206
SOFTMAX_TWICE = "of numbers between 0 and 1, softmax is almost uniform. Take one of the two away"
SIGMOID_TWICE = "the sigmoid of a probability lies between 0.5 and 0.73. Take one of the two away"
ONE_AXIS_AFTER_ANOTHER = (
    "a softmax over one axis after another is none over both, and the first no longer sums to 1. Both jointly are one "
    "call: anymax.softmax(x, dim=(i, j))"
)

# AMX207
ONE_CALL = "is right; cross_entropy of the scores is the same in one call"

UNBROKEN = "cross_entropy of the scores as they are, with the classes in axis 1, or movedim(1, -1) before the reshape"

# AMX208
PROBS_OF_SCORES = (
    "it divides them by their sum, which is no softmax, and raises where one is negative. Write logits= for probs="
)
DRAWS_UNIFORMLY = "it takes their softmax once more, and draws almost uniformly"
LOGITS_OF_PROBS = f"{DRAWS_UNIFORMLY}. Write probs= for logits=, or give it the scores"
MULTINOMIAL_OF_SCORES = "it takes probabilities. Write multinomial(softmax(x, dim=-1), n), or anymax.sample(x, dim=-1)"

# AMX302, where it is written out
LOG_OF_OWN_SUM = (
    "x - log(exp(x).sum()) is infinite as soon as all exponentials that are summed round to 0, or one of them "
    "overflows. Write log_softmax(x, dim), which shifts by the largest of those that count"
)

# AMX304, of attention that is one function of torch's
NO_KEYS = (
    "queries all of whose keys are masked: their outputs are NaN, and so is every gradient behind them. Leave one key "
    "of each, such as the first, or a whole sample of padding out of the batch"
)

# AMX302, AMX303 of exponentials that are summed
OWN_LOGSUMEXP = (
    "the log of a sum of exponentials is infinite as soon as a score passes 88 in float32, 11 in float16. Write "
    "logsumexp(x, dim), or log_softmax where it is taken off the scores: they shift first"
)
NONE_TO_LOG = (
    "the log of a sum of exponentials is -inf as soon as all numbers of a row lie below -103 in float32. Write "
    "logsumexp(x, dim), which shifts first"
)
NO_LIKELY_ONE = (
    "exp(x) / exp(x).sum() is 0 / 0, NaN, as soon as all numbers of a row lie below -103 in float32. Write "
    "softmax(x, dim), which shifts first"
)
SHIFTED_ELSEWHERE = (
    "the maximum that was taken off before exp is that of several rows together, so that a row whose scores lie 103 "
    "below it has a sum of 0. Take the maximum over the axis that is summed, or write softmax, log_softmax or logsumexp"
)
SHIFTED_BY_MASKED = (
    "the maximum that was taken off before exp may be one that the mask hides; where the others lie 103 below it, "
    "their sum is 0 and its log -inf. Hide them first, with masked_fill(mask, float('-inf')), and write log_softmax"
)

# AMX305: a masked score above this keeps a weight that counts
SMALL_ENOUGH = -50.0
WRITE_MASK = "Write float('-inf'), or anymax.softmax(x, dim, mask=kept) where a whole row may be masked"
INFINITE_FACTOR = (
    "0 times -inf is NaN: where a mask is multiplied by it, each entry that the mask leaves becomes NaN. Write "
    "scores.masked_fill(mask, float('-inf')), with a mask of bool"
)
WEAK_MASK = f"masked entries keep a weight. {WRITE_MASK}"

_ON_SCORES = {
    "softmax": "log_softmax(scores, dim)",
    "sigmoid": "logsigmoid(scores)",
    "complement": "logsigmoid(-scores)",
}


def implicit_dim(axis: int) -> str:
    """AMX101, where torch took this axis."""
    return f"{LEGACY_RULE}. Write dim={axis} to keep this, or the axis that is meant"


def one_entry(function: str) -> str:
    """AMX103, of softmax or log_softmax."""
    return (
        f"an axis of size 1, so the result is always {0 if 'log' in function else 1}. One score per sample is a case "
        "for sigmoid; else normalise the axis that has the scores"
    )


def queries_compete(write: str) -> str:
    """AMX105, with the dim of the keys."""
    return f"{WEIGHTS_OF_ELSE}. Write {write}, so that the keys of each query compete"


def pixels_compete(space: Sequence[int], channels: int) -> str:
    """AMX106, of one of the axes `space` of an image."""
    return (
        f"normalises one of the {len(space)} spatial axes of an image: the pixels of a line compete. Write "
        f"dim={channels} if the channels are the classes, or anymax.softmax(x, dim={tuple(space)}) for a map over all "
        "pixels"
    )


def other_choice(softmax: str, write: str) -> str:
    """AMX107, of a choice among what has been through a softmax."""
    return f"chooses along another axis than {softmax}: entries of different distributions are compared. Write {write}"


def softmax_twice_in_loss(lowest: str = "near 0") -> str:
    """AMX201, of the softmax or sigmoid in front, with how low the loss can come."""
    return (
        f"comes before the softmax of the loss itself, which then cannot come {lowest}, and gradients are small. Give "
        "the scores to cross_entropy, and take softmax only where probabilities are read"
    )


def sigmoid_twice_in_loss(kind: str) -> str:
    """AMX202, of what is in front: a softmax or a sigmoid, or the log of one."""
    return (
        "comes before the sigmoid of the loss itself, which then sees no probability "
        f"{'above' if kind.startswith('log') else 'below'} 0.5. Give it the scores, and take sigmoid only where "
        "probabilities are read"
    )


def log_of(link: str, bounded: bool = False) -> str:
    """AMX301, of a softmax, a sigmoid or its complement, 1 - sigmoid; `bounded` where it is kept away from 0."""
    harm = (
        "a probability that rounds to 0 gives -inf, and NaN as its gradient; a number added to it changes every value"
    )
    if bounded:
        harm = "what keeps it away from 0, a number added or a bound, changes values or cuts their gradients off"
    return f"{harm}. Write {_ON_SCORES[link]}, which is exact"


def own_log_softmax(dim: int | str = "dim") -> str:
    """AMX302."""
    return (
        "x - logsumexp(x) loses the digits that both have in common: at scores around 1e7 it is off by 0.1. Write "
        f"log_softmax(x, {dim}), which shifts first"
    )


def own_softmax(dim: int | str = "dim") -> str:
    """AMX303."""
    return (
        "exp(x) / exp(x).sum() is NaN as soon as a score passes 88 in float32, 11 in float16. Write "
        f"softmax(x, {dim}), which shifts first"
    )
