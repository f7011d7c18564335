"""What public tutorials get wrong, as they write it: with the import changed, one sentence names the right call."""

from __future__ import annotations

import warnings

import pytest
import torch

import anymax

IMPORTS = {
    "import torch.nn.functional as F": "import anymax as F",
    "from torch.nn.functional import": "from anymax import",
    "from torch.nn import": "from anymax.nn import",
}

# What the surrounding page would have made: 4 samples, 3 classes, sequences of 2 x 7 with 10 classes.
SETUP = """
import torch
torch.manual_seed(0)
logits = scores = x = torch.randn(4, 3)
features = torch.randn(4, 5)
labels = y = torch.tensor([0, 2, 1, 1])
sequence = torch.randn(2, 7, 10)
words = torch.zeros(2, 7, dtype=torch.int64)
noise_dist = torch.ones(3) / 3
noise_embedding = torch.randn(3, 5)
"""


def run(snippet):
    changed = snippet
    for torch_import, ours in IMPORTS.items():
        changed = changed.replace(torch_import, ours)
    assert changed != snippet or "anymax" in snippet, "the import must change"
    exec(compile(SETUP + changed, "snippet", "exec"), {})


WRONG = {
    # the axis
    "dim out of range": (
        "from torch.nn.functional import softmax\nsoftmax(x, 3)",
        IndexError,
        "softmax: dim must be in [-2, 1] for a tensor of 2 axes, got 3; dim=-1 is the last axis",
    ),
    "dim is a float": (
        "from torch.nn.functional import softmax\nsoftmax(x, dim=1.0)",
        TypeError,
        "softmax: dim must be an int, a tuple of ints or a pattern such as 'batch [class]', got 1.0 of type float",
    ),
    "dim is a name": (
        'from torch.nn.functional import softmax\nsoftmax(x, dim="class")',
        ValueError,
        "softmax: the pattern 'class' brackets no axis; bracket those that compete, such as '[class]', "
        "or '... [class]' for the last of 2 axes",
    ),
    "dim is a number in quotes": (
        'import torch.nn.functional as F\nF.log_softmax(x, dim="1")',
        ValueError,
        "log_softmax: the pattern '1' must be axis names separated by spaces, with those that compete in brackets, "
        "such as 'batch [class] h w'; got '1'",
    ),
    "a dim per axis of a wrong rank": (
        "import torch.nn.functional as F\nF.softmax(x, dim='batch [channels] h w')",
        ValueError,
        "softmax: the pattern 'batch [channels] h w' names 4 axes, got a tensor of 2",
    ),
    "Softmax2d of class scores": (
        "from torch.nn import Softmax2d\nSoftmax2d()(x)",
        ValueError,
        "Softmax2d: input must be (N, C, H, W) or (C, H, W), got shape (4, 3); anymax.nn.Softmax(dim=...) takes any "
        "shape",
    ),
    # the scores
    "softmax of integers": (
        "import torch.nn.functional as F\nF.softmax(torch.tensor([1, 2, 3]), dim=0)",
        TypeError,
        "softmax: input must be a floating-point tensor, got torch.int64; write input.float()",
    ),
    "softmax of a list": (
        "import torch.nn.functional as F\nF.softmax([1.0, 2.0, 3.0], dim=0)",
        TypeError,
        "softmax: input must be a tensor, got a value of type list; write torch.as_tensor(input)",
    ),
    "softmax of an array": (
        "import torch.nn.functional as F\nF.softmax(x.numpy(), dim=1)",
        TypeError,
        "softmax: input must be a tensor, got a value of type ndarray; write torch.as_tensor(input)",
    ),
    "temperature 0": (
        "from anymax import softmax\nsoftmax(x, dim=1, temperature=0)",
        ValueError,
        "softmax: temperature must be greater than 0, got 0; the limit at 0 is input.argmax(dim)",
    ),
    "a mask of ones and zeros": (
        "from anymax import softmax\nsoftmax(x, dim=1, mask=torch.tensor([1.0, 1.0, 0.0]))",
        TypeError,
        "softmax: mask must be a boolean tensor in which True takes part, got torch.float32; write mask.bool() if "
        "nonzero means that an entry takes part, mask == 0 for a mask that is added to scores",
    ),
    "an additive mask": (
        "from anymax import softmax\nsoftmax(x, dim=1, mask=torch.tensor([0.0, 0.0, -1e9]))",
        TypeError,
        "mask == 0 for a mask that is added to scores",
    ),
    "a mask of another shape": (
        "from anymax import softmax\nsoftmax(x, dim=1, mask=torch.ones(4, dtype=torch.bool))",
        ValueError,
        "softmax: mask must broadcast against scores of shape (4, 3) without enlarging it, got shape (4,)",
    ),
    # Gumbel-softmax
    "the fourth argument is eps, not dim": (
        "import torch.nn.functional as F\nF.gumbel_softmax(logits, 1.0, True, 0)",
        ValueError,
        "gumbel_softmax: eps has no effect and stands here for torch's positional order only, got 0; the axis is a "
        "keyword: gumbel_softmax(logits, tau, hard, dim=...)",
    ),
    "a larger eps against NaN": (
        "import torch.nn.functional as F\nF.gumbel_softmax(logits, eps=1e-6)",
        ValueError,
        "gumbel_softmax: eps has no effect",
    ),
    "tau 0 for one-hot samples": (
        "import torch.nn.functional as F\nF.gumbel_softmax(logits, tau=0)",
        ValueError,
        "gumbel_softmax: tau must be greater than 0, got 0; write hard=True for one-hot samples, logits.argmax(dim) "
        "for no noise",
    ),
    "the third argument is hard, not dim": (
        "import torch.nn.functional as F\nF.gumbel_softmax(logits, 0.5, 1)",
        TypeError,
        "gumbel_softmax: hard must be True or False, got 1; the axis is a keyword: gumbel_softmax(logits, tau, "
        "dim=...)",
    ),
    "a GumbelSoftmax module with a placeholder for dim": (
        'from anymax.nn import GumbelSoftmax\nGumbelSoftmax(dim="...")(logits)',
        ValueError,
        "gumbel_softmax: the pattern '...' brackets no axis; bracket those that compete, such as 'batch [class]'",
    ),
    "an annealed GumbelSoftmax that reaches 0": (
        "from anymax.nn import GumbelSoftmax\nmodule = GumbelSoftmax(dim=1)\nmodule.tau.sub_(1)\nmodule(logits)",
        ValueError,
        "gumbel_softmax: tau must be greater than 0 everywhere, got 0.0; write hard=True for one-hot samples, "
        "logits.argmax(dim) for no noise",
    ),
    # cross-entropy
    "classes last": (
        "import torch.nn.functional as F\nF.cross_entropy(sequence, words)",
        ValueError,
        "cross_entropy: target must have the input's shape (2, 7, 10) without axis 1, the default class axis, so "
        "(2, 10), got (2, 7); it fits with axis 2 as the classes: cross_entropy(..., dim=2)",
    ),
    "a one-hot target of integers": (
        "import torch.nn.functional as F\nF.cross_entropy(x, F.softmax(x, dim=1).round().long())",
        ValueError,
        "so (4,), got (4, 3); a one-hot target is target.float(), or target.argmax(1) as ids",
    ),
    "ids as floats": (
        "import torch.nn.functional as F\nF.cross_entropy(x, y.float())",
        ValueError,
        "cross_entropy: a floating-point target holds probabilities and must have the input's shape (4, 3), got (4,); "
        "if these are class ids, write target.long()",
    ),
    "ids in a column": (
        "from torch.nn import CrossEntropyLoss\nCrossEntropyLoss()(x, y[:, None])",
        ValueError,
        "got (4, 1); write target.squeeze(1)",
    ),
    "ids that count from 1": (
        "import torch.nn.functional as F\nF.cross_entropy(x, y + 1)",
        ValueError,
        "cross_entropy: target ids must be in [0, 2] or ignore_index (-100), got 3; ids count from 0: write target - 1",
    ),
    "a prediction instead of scores": (
        "import torch.nn.functional as F\nF.cross_entropy(x.argmax(1), y)",
        TypeError,
        "cross_entropy: input must be a floating-point tensor, got torch.int64; scores come first, ids second, and an "
        "argmax is not a score: cross_entropy(scores, ids)",
    ),
    "target first, as in Keras": (
        "import torch.nn.functional as F\nF.cross_entropy(y, x)",
        TypeError,
        "scores come first, ids second, and an argmax is not a score: cross_entropy(scores, ids)",
    ),
    "soft targets that are logits": (
        "import torch.nn.functional as F\nF.cross_entropy(x, torch.randn(4, 3))",
        ValueError,
        "cross_entropy: a floating-point target holds probabilities along axis 1, at least 0 and summing to 1, got",
    ),
    "a target of yes and no": (
        "import torch.nn.functional as F\nF.cross_entropy(x, y == 1)",
        TypeError,
        "got torch.bool; write target.long() for the classes 0 and 1",
    ),
    "class weights as a list": (
        "from torch.nn.functional import cross_entropy\ncross_entropy(x, y, weight=[1.0, 2.0, 3.0])",
        TypeError,
        "cross_entropy: weight must be a tensor, got a value of type list; write torch.as_tensor(weight)",
    ),
    "weights per sample": (
        "from torch.nn.functional import cross_entropy\ncross_entropy(x, y, weight=torch.ones(4))",
        ValueError,
        "cross_entropy: weight must have one entry per class, shape (3,), got (4,)",
    ),
    "the reduction of kl_div": (
        'from torch.nn.functional import cross_entropy\ncross_entropy(x, y, reduction="batchmean")',
        ValueError,
        "cross_entropy: reduction must be one of 'none', 'mean', 'sum', got 'batchmean'",
    ),
    # binary cross-entropy
    "a column of scores and a row of targets": (
        "import torch.nn.functional as F\nF.binary_cross_entropy_with_logits(torch.randn(4, 1), torch.ones(4))",
        ValueError,
        "binary_cross_entropy_with_logits: target must have the input's shape (4, 1), got (4,); write "
        "target.reshape(input.shape) if the entries are in the same order",
    ),
    "targets of -1 and 1": (
        "import torch.nn.functional as F\n"
        "F.binary_cross_entropy_with_logits(torch.randn(4), torch.tensor([-1.0, 1.0, 1.0, -1.0]))",
        ValueError,
        "binary_cross_entropy_with_logits: target must be in [0, 1], got entries from -1.0 to 1.0; write "
        "(target + 1) / 2 for a target of -1 and 1",
    ),
    "sigmoids for one class of several": (
        "from torch.nn import BCEWithLogitsLoss\nBCEWithLogitsLoss()(logits, labels)",
        ValueError,
        "binary_cross_entropy_with_logits: target must have the input's shape (4, 3), got (4,); for one class per row "
        "write cross_entropy(input, target, dim=-1)",
    ),
    "pos_weight as a number": (
        "import torch.nn.functional as F\n"
        "F.binary_cross_entropy_with_logits(torch.randn(4), torch.ones(4), pos_weight=10.0)",
        TypeError,
        "pos_weight must be a tensor, got 10.0 of type float; write torch.as_tensor(pos_weight)",
    ),
    # noise-contrastive estimation: torch has none, so every page invents its own
    "nce_loss of logits, a distribution and an embedding": (
        "from torch.nn.functional import nce_loss\nnce_loss(logits, noise_dist, noise_embedding)",
        TypeError,
        "nce_loss: features, class table and target go in, not logits: linear_weight must be a floating-point class "
        "table (num_classes, in_features), got a tensor of torch.float32 and shape (3,); write nce_loss(features, "
        "linear.weight, target, noise.Unigram(class_counts), linear_bias=linear.bias)",
    ),
    "nce_loss of logits and labels": (
        "import torch.nn.functional as F\nF.nce_loss(logits, labels)",
        TypeError,
        "nce_loss: features, class table and target go in, not logits: linear_weight must be",
    ),
    "nce_loss of logits with a class table": (
        "import anymax\nimport torch.nn.functional as F\n"
        "F.nce_loss(logits, torch.randn(3, 5), labels, anymax.noise.Uniform(3))",
        ValueError,
        "nce_loss: input must end in the 5 features of the class table (3, 5), got shape (4, 3); features go in, not "
        "logits, and the class table is (num_classes, features)",
    ),
    "nce_loss with a layer for a class table": (
        "import torch.nn.functional as F\nF.nce_loss(features, torch.nn.Linear(5, 3), labels, noise_dist)",
        TypeError,
        "got the module Linear; write nce_loss(features, linear.weight, target,",
    ),
    "nce_loss with frequencies for a noise law": (
        "import torch.nn.functional as F\nF.nce_loss(features, torch.randn(3, 5), labels, noise_dist)",
        TypeError,
        "noise must be a law of anymax.noise or Candidates drawn from one, got a tensor of torch.float32 and shape "
        "(3,) (counts or probabilities per class make the law noise.Unigram(counts)); write nce_loss(features,",
    ),
    "an NCELoss module of frequencies": (
        "from torch.nn import NCELoss\nNCELoss(noise_dist)(features, torch.randn(3, 5), labels)",
        TypeError,
        "(counts or probabilities per class make the law noise.Unigram(counts))",
    ),
    "an NCELoss module called with logits": (
        "import anymax\nfrom torch.nn import NCELoss\nNCELoss(anymax.noise.Uniform(3))(logits, labels, labels)",
        TypeError,
        "nce_loss: features, class table and target go in, not logits: linear_weight must be",
    ),
    "sampled softmax without a law": (
        "import torch.nn.functional as F\nF.sampled_softmax_loss(features, torch.randn(3, 5), labels)",
        TypeError,
        "write sampled_softmax_loss(features, linear.weight, target, noise.Unigram(class_counts), "
        "linear_bias=linear.bias)",
    ),
    "an NCE head without a law": (
        "from anymax.nn import NCEHead\nNCEHead(5, 3)",
        ValueError,
        "NCEHead: give noise= (a law of anymax.noise) or class_counts= (which makes a Unigram law); no law fits by "
        "default",
    ),
    "class probabilities of sigmoids": (
        "from anymax.nn import SigmoidHead\nSigmoidHead(5, 3).log_prob(features)",
        NotImplementedError,
        "SigmoidHead: independent yes/no decisions give no probabilities over the classes, so there is no log_prob and "
        "no sample; predict ranks the classes, and SoftmaxHead has probabilities",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_snippet_ends_in_one_sentence_that_names_the_right_call(name):
    snippet, error, sentence = WRONG[name]
    with pytest.raises(error) as caught:
        run(snippet)
    message = str(caught.value)
    assert sentence in message
    assert "\n" not in message
    assert ". " not in message.replace("... ", ""), "one sentence"


IMPLICIT = {
    # as in torch's own tutorial "Building Models" (pytorch/tutorials issue 3856)
    "from torch.nn import Softmax\nSoftmax()(x)": (
        "softmax: no dim was given for an input of shape (4, 3), so axis 1 (size 3) was normalised: 4 separate "
        "distributions over 3 entries. Write softmax(..., dim=1) to keep this"
    ),
    "import torch.nn.functional as F\nF.softmax(torch.randn(8, 5, 3))": (
        "softmax: no dim was given for an input of shape (8, 5, 3), so axis 0 (size 8) was normalised: 15 separate "
        "distributions over 8 entries. Write softmax(..., dim=0) to keep this"
    ),
    "import torch.nn.functional as F\nF.gumbel_softmax(torch.randn(8, 5, 3, 3))": (
        "gumbel_softmax: no dim was given for an input of shape (8, 5, 3, 3), so axis 3 (size 3) was normalised: 120 "
        "separate distributions over 3 entries. Write gumbel_softmax(..., dim=3) to keep this"
    ),
}


@pytest.mark.parametrize("snippet", IMPLICIT)
def test_a_missing_dim_is_named_in_a_warning(snippet):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(snippet)
    (warning,) = caught
    assert warning.category is anymax.ImplicitDimWarning
    assert IMPLICIT[snippet] in str(warning.message)


def test_one_dimensional_scores_without_dim_need_no_warning():
    run("from torch.nn.functional import softmax\nassert abs(softmax(torch.tensor([1.0, 2.0, 3.0])).sum() - 1) < 1e-6")


def test_what_values_cannot_show_stays_silent():
    """Scores that happen to lie in [0, 1] are scores; docs/what-tutorials-say.md says how these mistakes look."""
    torch.manual_seed(0)
    scores, target = 20 * torch.nn.functional.one_hot(torch.arange(4) % 3).float(), torch.arange(4) % 3
    assert anymax.cross_entropy(scores, target) < 1e-6
    assert anymax.cross_entropy(scores.softmax(1), target) == pytest.approx(0.5514, abs=1e-4)
    assert anymax.cross_entropy(torch.zeros(2, 5, 5), torch.zeros(2, 5, dtype=torch.int64)) > 0
    assert anymax.binary_cross_entropy_with_logits(torch.ones(4).sigmoid(), torch.ones(4)) > 0.3
