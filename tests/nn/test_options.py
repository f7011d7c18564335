"""Every option of every module, at a value that changes the answer, gives what the function gives.

An option is an argument of a constructor, of `forward`, or of a head's `sample` and `predict`. One without a row fails.
"""

from __future__ import annotations

import functools
import inspect
import math
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

import anymax
from anymax import noise
from anymax.nn.heads.dense import DenseOptions
from anymax.nn.heads.drawn import NoiseOptions
from anymax.ops.binary.api import one_vs_rest_loss
from anymax.ops.gumbel.api import gumbel_softmax_loss
from anymax.ops.tree.api import adaptive_softmax_loss, hierarchical_softmax_loss
from anymax.ops.tree.reference import Tail
from anymax.ops.tree.structure import tree_of
from anymax.testing.inputs import randn

ROWS, WIDTH, CLASSES = 6, 4, 12


SQUARE = 2 * randn(5, 5, at=0)
MOSTLY_RIGHT = torch.cat([SQUARE.argmax(1)[:3], SQUARE.argmin(1)[3:]])
LEARNT_SQUARE = SQUARE.clone().requires_grad_()
FEATURES, TABLE, BIAS = randn(ROWS, WIDTH, at=1), randn(CLASSES, WIDTH, at=2), randn(CLASSES, at=3)
TARGET = torch.tensor([3, 0, 7, 11, 0, 5])
SEED, OTHER_SEED = torch.tensor(5), torch.tensor(6)
COUNTS = torch.arange(CLASSES) ** 2
UNIFORM, ZIPF = noise.Uniform(CLASSES), noise.LogUniform(CLASSES)
CLASS_MASK = torch.arange(CLASSES) != 4
PRIOR = torch.arange(CLASSES, 0.0, -1, dtype=torch.float64)


@dataclass(frozen=True)
class Subject:
    """A module, the function that it stands for, and a value for each of its options."""

    # the module from the options of its constructor
    make: Callable[..., nn.Module]
    # the answer of the function from the module's parameters and all options
    function: Callable[..., Tensor]
    # the inputs of forward
    inputs: tuple[Tensor, ...]
    values: dict[str, Any]
    # options that only forward has
    forward: dict[str, Any] = field(default_factory=dict)
    # what is given unless the row says otherwise
    base: dict[str, Any] = field(default_factory=dict)
    base_forward: dict[str, Any] = field(default_factory=dict)


def of_map(module: type[nn.Module], function: Callable[..., Tensor], **values: Any) -> Subject:
    forward = {"mask": torch.arange(5) != 2} if module is not anymax.nn.Softmax2d else {}
    return Subject(module, lambda _, **options: function(SQUARE, **options), (SQUARE,), values, forward, {"dim": 1})


REDUCED = {"reduction": "sum", "ignore_index": 0}
SOFTMAX = {"dim": 0, "temperature": 0.5, "sink": 1.0}
CROSS_ENTROPY = {
    **REDUCED,
    "label_smoothing": 0.2,
    "z_loss": 0.1,
    "softcap": 1.0,
    "temperature": 0.5,
}
NOISE_LOSS = {**REDUCED, "noise": ZIPF, "num_noise": 5, "shared": False, "sparse": True}
NOISE_FORWARD = {"linear_bias": BIAS, "generator": OTHER_SEED}


def of_sparse_loss(module: type[nn.Module], function: Callable[..., Tensor], **values: Any) -> Subject:
    return Subject(
        module,
        lambda _, **options: function(SQUARE, TARGET[:5] % 5, **options),
        (SQUARE, TARGET[:5] % 5),
        {**REDUCED, "weight": torch.arange(1.0, 6.0).double(), "dim": 0, "temperature": 0.5, **values},
        {"mask": torch.arange(5) != 4},
    )


def of_noise_loss(module: type[nn.Module], function: Callable[..., Tensor], **values: Any) -> Subject:
    table = nn.Parameter(TABLE)
    return Subject(
        module,
        lambda _, **options: function(FEATURES, table, TARGET, **options),
        (FEATURES, table, TARGET),
        {**NOISE_LOSS, **values},
        NOISE_FORWARD,
        {"noise": UNIFORM, "num_noise": 4},
        {"generator": SEED},
    )


def linear_loss(module: nn.Module, bias: bool = False, **options: Any) -> Tensor:
    options = {name: value for name, value in options.items() if name not in ("in_features", "num_classes", "dtype")}
    linear_bias = module.linear.bias if bias else None
    return anymax.linear_cross_entropy(FEATURES, module.linear.weight, TARGET, linear_bias=linear_bias, **options)


SIZES = {"in_features": WIDTH, "num_classes": CLASSES, "dtype": torch.float64}
HEAD = {**REDUCED, "bias": False, "class_counts": COUNTS}
NOISE_HEAD = {
    **HEAD,
    "noise": ZIPF,
    "class_counts": {"class_counts": COUNTS, "noise": None},
    "num_noise": 5,
    "sparse": True,
}


def of_head(module: type[nn.Module], loss: Callable[..., Tensor], *, drawn: bool, law: bool, **values: Any) -> Subject:
    def make(**options: Any) -> nn.Module:
        head = module(**options)
        if head.bias is not None and "class_counts" not in options:
            with torch.no_grad():
                head.bias.copy_(BIAS)
        return head

    def function(head: nn.Module, **options: Any) -> Tensor:
        for name in ("in_features", "num_classes", "dtype"):
            del options[name]
        bias, counts = options.pop("bias", True), options.pop("class_counts", None)
        if counts is not None:
            smoothed = (counts + 1).double()
            assert_close(head.bias.detach(), start_of(head, smoothed))
            if law:
                options["noise"] = noise.Unigram(smoothed)
        return loss(head.weight, head.bias if bias else None, **options)

    return Subject(
        make,
        function,
        (FEATURES, TARGET),
        {**(NOISE_HEAD if law else HEAD), **values},
        {"generator": OTHER_SEED} if drawn else {},
        {**SIZES, "noise": UNIFORM, "num_noise": 4} if law else SIZES,
        {"generator": SEED} if drawn else {},
    )


def start_of(head: nn.Module, smoothed: Tensor) -> Tensor:
    if isinstance(head, anymax.nn.SigmoidHead):
        return (smoothed / smoothed.sum()).logit()
    if isinstance(head, anymax.nn.NegativeSamplingHead):
        # log p - log k q, of a law that is p
        return torch.full_like(smoothed, -math.log(head.num_noise))
    if isinstance(head, anymax.nn.SparsemaxHead):
        return smoothed / smoothed.sum() - 1
    if isinstance(head, anymax.nn.EntmaxHead):
        return 2 * (smoothed / smoothed.sum()).sqrt() - 2
    return (smoothed / smoothed.sum()).log()


def dense(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda weight, bias, **options: function(nn.functional.linear(FEATURES, weight, bias), TARGET, **options)


def by_table(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda weight, bias, **options: function(FEATURES, weight, TARGET, linear_bias=bias, **options)


SUBJECTS = {
    "Softmax": of_map(anymax.nn.Softmax, anymax.softmax, **SOFTMAX),
    "Softmin": of_map(anymax.nn.Softmin, anymax.softmin, **SOFTMAX),
    "LogSoftmax": of_map(anymax.nn.LogSoftmax, anymax.log_softmax, **SOFTMAX),
    "Entropy": of_map(anymax.nn.Entropy, anymax.entropy, dim=0, temperature=2.0),
    "Sparsemax": of_map(anymax.nn.Sparsemax, anymax.sparsemax, dim=0, temperature=2.0),
    "Entmax": of_map(anymax.nn.Entmax, anymax.entmax, dim=0, alpha=1.25, temperature=2.0),
    "Relumax": of_map(anymax.nn.Relumax, anymax.relumax, dim=0, bias=1.0),
    "Softpick": of_map(anymax.nn.Softpick, anymax.softpick, dim=0),
    "TaylorSoftmax": of_map(anymax.nn.TaylorSoftmax, anymax.taylor_softmax, dim=0, order=4),
    "LogSumExp": of_map(anymax.nn.LogSumExp, anymax.logsumexp, dim=0, keepdim=True, sink=1.0),
    "Softmax2d": Subject(
        anymax.nn.Softmax2d, lambda _: anymax.softmax(SQUARE.expand(2, 5, 5), -3), (SQUARE.expand(2, 5, 5),), {}
    ),
    "GumbelSoftmax": Subject(
        anymax.nn.GumbelSoftmax,
        lambda _, **options: anymax.gumbel_softmax(LEARNT_SQUARE, **options),
        (LEARNT_SQUARE,),
        {
            "tau": 0.5,
            "hard": False,
            "dim": 0,
            "estimator": "reinmax",
            "num_samples": {"estimator": "rao", "num_samples": 3},
        },
        {"mask": torch.arange(5) != 2, "generator": OTHER_SEED},
        {"dim": 1, "hard": True},
        {"generator": SEED},
    ),
    "CrossEntropyLoss": Subject(
        anymax.nn.CrossEntropyLoss,
        lambda _, **options: anymax.cross_entropy(SQUARE, TARGET[:5] % 5, **options),
        (SQUARE, TARGET[:5] % 5),
        {**CROSS_ENTROPY, "weight": torch.arange(1.0, 6.0).double(), "dim": 0, "class_prior": PRIOR[:5]},
        {"mask": torch.arange(5) != 4},
    ),
    "SparsemaxLoss": of_sparse_loss(anymax.nn.SparsemaxLoss, anymax.sparsemax_loss),
    "EntmaxLoss": of_sparse_loss(anymax.nn.EntmaxLoss, anymax.entmax_loss, alpha=1.25),
    "LinearCrossEntropyLoss": Subject(
        anymax.nn.LinearCrossEntropyLoss,
        linear_loss,
        (FEATURES, TARGET),
        {
            **CROSS_ENTROPY,
            "weight": torch.arange(1.0, CLASSES + 1).double(),
            "class_prior": PRIOR,
            "bias": True,
            "chunks": 3,
            "memory_budget": 2 * CLASSES * 8,
        },
        {"mask": CLASS_MASK},
        SIZES,
    ),
    "InfoNCELoss": Subject(
        anymax.nn.InfoNCELoss,
        lambda _, **options: anymax.info_nce(SQUARE, SQUARE.T, **options),
        (SQUARE, SQUARE.T),
        {"temperature": 0.5, "symmetric": True, "reduction": "sum"},
        {
            "target": torch.tensor([4, 3, 2, 1, 0]),
            "log_q": PRIOR[:5],
            "key_ids": torch.tensor([1, 1, 2, 3, 4]),
            "mask": torch.arange(5) < torch.arange(1, 6)[:, None],
        },
    ),
    "BCEWithLogitsLoss": Subject(
        anymax.nn.BCEWithLogitsLoss,
        lambda _, **options: anymax.binary_cross_entropy_with_logits(SQUARE, SQUARE.sigmoid(), **options),
        (SQUARE, SQUARE.sigmoid()),
        {"weight": torch.arange(5.0).double(), "reduction": "none", "pos_weight": torch.tensor(3.0).double()},
    ),
    "TemperatureScaling": Subject(
        lambda **options: anymax.nn.TemperatureScaling(**options).fit(SQUARE, MOSTLY_RIGHT),
        lambda module, **options: SQUARE / module.temperature,
        (SQUARE,),
        {"dim": 0, "ignore_index": 0, "coldest": 50.0, "hottest": 2.0, "alpha": 2.0},
    ),
    "SigmoidFocalLoss": Subject(
        anymax.nn.SigmoidFocalLoss,
        lambda _, **options: anymax.sigmoid_focal_loss(SQUARE, SQUARE.sigmoid(), **options),
        (SQUARE, SQUARE.sigmoid()),
        {"alpha": None, "gamma": 0.5, "reduction": "sum"},
    ),
    "AsymmetricLoss": Subject(
        anymax.nn.AsymmetricLoss,
        lambda _, **options: anymax.asymmetric_loss(SQUARE, SQUARE.sigmoid(), **options),
        (SQUARE, SQUARE.sigmoid()),
        {"gamma_neg": 1.5, "gamma_pos": 2.0, "clip": 0.2, "reduction": "none"},
    ),
    "LDAMLoss": Subject(
        anymax.nn.LDAMLoss,
        lambda _, **options: anymax.ldam_loss(SQUARE, TARGET[:5] % 5, **options),
        (SQUARE, TARGET[:5] % 5),
        {
            **REDUCED,
            "class_counts": COUNTS[1:6].flip(0),
            "max_margin": 2.0,
            "scale": 2.0,
            "weight": torch.arange(1.0, 6.0).double(),
            "dim": 0,
        },
        base={"class_counts": COUNTS[1:6]},
    ),
    "NCELoss": of_noise_loss(anymax.nn.NCELoss, anymax.nce_loss, log_partition=1.0),
    "NegativeSamplingLoss": of_noise_loss(anymax.nn.NegativeSamplingLoss, anymax.negative_sampling_loss),
    "SampledSoftmaxLoss": of_noise_loss(
        anymax.nn.SampledSoftmaxLoss, anymax.sampled_softmax_loss, correction="importance", unique=False
    ),
    "SoftmaxHead": of_head(
        anymax.nn.SoftmaxHead,
        by_table(anymax.linear_cross_entropy),
        drawn=False,
        law=False,
        label_smoothing=0.2,
        z_loss=0.1,
        class_prior=PRIOR,
        chunks=3,
        memory_budget=2 * CLASSES * 8,
    ),
    "GumbelSoftmaxHead": of_head(
        anymax.nn.GumbelSoftmaxHead, dense(gumbel_softmax_loss), drawn=True, law=False, tau=0.5
    ),
    "SparsemaxHead": of_head(anymax.nn.SparsemaxHead, dense(anymax.sparsemax_loss), drawn=False, law=False),
    "EntmaxHead": of_head(anymax.nn.EntmaxHead, dense(anymax.entmax_loss), drawn=False, law=False, alpha=1.25),
    "SigmoidHead": of_head(anymax.nn.SigmoidHead, dense(one_vs_rest_loss), drawn=False, law=False),
    "FocalHead": of_head(
        anymax.nn.FocalHead,
        dense(functools.partial(one_vs_rest_loss, alpha=0.25, gamma=2.0)),
        drawn=False,
        law=False,
        alpha=None,
        gamma=0.5,
    ),
    "NCEHead": of_head(anymax.nn.NCEHead, by_table(anymax.nce_loss), drawn=True, law=True, log_partition=1.0),
    "NegativeSamplingHead": of_head(
        anymax.nn.NegativeSamplingHead, by_table(anymax.negative_sampling_loss), drawn=True, law=True
    ),
    "SampledSoftmaxHead": of_head(
        anymax.nn.SampledSoftmaxHead,
        by_table(anymax.sampled_softmax_loss),
        drawn=True,
        law=True,
        correction="importance",
        unique=False,
    ),
}
SUBJECTS |= {
    "HierarchicalSoftmaxHead": Subject(
        anymax.nn.HierarchicalSoftmaxHead,
        lambda head, **options: hierarchical_softmax_loss(
            FEATURES,
            head.weight,
            TARGET,
            tree_of(head.parents, CLASSES),
            linear_bias=head.bias,
            **{name: value for name, value in options.items() if name in ("sparse", "ignore_index", "reduction")},
        ),
        (FEATURES, TARGET),
        {**HEAD, "sparse": True, "tree": [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11]]},
        base=SIZES,
    ),
    "AdaptiveSoftmaxHead": Subject(
        anymax.nn.AdaptiveSoftmaxHead,
        lambda head, **options: adaptive_softmax_loss(
            FEATURES,
            head.head.weight,
            tuple(Tail(narrow.weight, wide.weight, wide.bias) for narrow, wide in head.tail),
            TARGET,
            head_bias=head.head.bias,
            rank=head.rank,
            **{name: value for name, value in options.items() if name in ("ignore_index", "reduction")},
        ),
        (FEATURES, TARGET),
        {**HEAD, "cutoffs": [4], "div_value": 2.0},
        base=SIZES,
    ),
}
# they define no probabilities to draw from
WITHOUT_LAW = ("FocalHead", "SigmoidHead")
HEADS = [name for name in SUBJECTS if name.endswith("Head")]
# heads that have no row of weights for each class
TREES = ("HierarchicalSoftmaxHead", "AdaptiveSoftmaxHead")
# with a test of their own
SHAPES = {"in_features", "num_classes", "device", "dtype"}


def options_of(function: Callable[..., Any]) -> set[str]:
    """The names of the options, with those of `**options` in their place."""
    if function is nn.Module.__init__:
        return set()
    names = set()
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            names.add(name)
            continue
        kind = {"Unpack[DenseOptions]": DenseOptions, "Unpack[NoiseOptions]": NoiseOptions}[parameter.annotation]
        names |= set(typing.get_type_hints(kind))
    return names - {"self"}


class Products(TorchDispatchMode):
    """Counts matrix products, which tell in how many chunks a loss was computed."""

    count = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm)
        return function(*args, **(kwargs or {}))


def answer(call: Callable[[], Tensor], parameters: list[Tensor]) -> list[Tensor]:
    """Value, number of products, and the gradients of the parameters with their layout."""
    with Products() as products:
        value = call()
    parts = [value.detach(), torch.tensor(products.count)]
    for gradient in torch.autograd.grad(value.sum(), parameters) if parameters else ():
        parts += [torch.tensor(gradient.is_sparse), gradient.to_dense()]
    return parts


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(
        mine.shape == theirs.shape and torch.equal(mine, theirs) for mine, theirs in zip(one, other, strict=True)
    )


def made(subject: Subject, options: dict[str, Any]) -> tuple[nn.Module, list[Tensor]]:
    torch.manual_seed(0)
    module = subject.make(**options)
    inputs = [tensor for tensor in subject.inputs if tensor.requires_grad]
    return module, [*module.parameters(), *inputs]


@pytest.mark.parametrize("name", anymax.nn.__all__)
def test_every_option_has_a_row(name):
    subject, module = SUBJECTS[name], getattr(anymax.nn, name)
    constructor = options_of(module.__init__)
    assert constructor - SHAPES == set(subject.values), f"{name} has options without a row, or rows without an option"
    inputs = list(inspect.signature(module.forward).parameters)[1 : 1 + len(subject.inputs)]
    assert options_of(module.forward) - set(inputs) == set(subject.forward)


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, subject in SUBJECTS.items() for option in (None, *subject.values, *subject.forward)],
)
def test_a_module_gives_what_its_function_gives(name, option):
    subject = SUBJECTS[name]
    value = {**subject.values, **subject.forward}.get(option)
    given = {} if option is None else value if isinstance(value, dict) else {option: value}
    options, forward = dict(subject.base), dict(subject.base_forward)
    (forward if option in subject.forward else options).update(given)

    module, parameters = made(subject, options)
    expected = answer(lambda: subject.function(module, **options, **forward), parameters)
    assert same(answer(lambda: module(*subject.inputs, **forward), parameters), expected)
    if option is not None:
        plain, its_parameters = made(subject, subject.base)
        without = answer(lambda: subject.function(plain, **subject.base, **subject.base_forward), its_parameters)
        assert not same(without, expected), "a value that changes nothing shows nothing"


METHODS = {
    "predict": (lambda head, k=1: head.scores(FEATURES).topk(k, -1)[1], {}, {"k": 3}),
    "sample": (
        lambda head, **options: anymax.sample(head.log_prob(FEATURES), -1, **options),
        {"generator": SEED},
        {"num_samples": 4, "temperature": 9.0, "generator": OTHER_SEED},
    ),
}


@pytest.mark.parametrize(
    ("name", "method"),
    [(name, method) for name in HEADS for method in METHODS if method != "sample" or name not in WITHOUT_LAW],
)
def test_options_of_a_heads_methods(name, method):
    head, _ = made(SUBJECTS[name], SUBJECTS[name].base)
    function, base, values = METHODS[method]
    assert options_of(getattr(type(head), method)) - {"input"} == set(values)

    def result(**options: Any) -> Tensor:
        found = getattr(head, method)(FEATURES, **{**base, **options})
        return found[1] if method == "predict" else found

    plain = result()
    assert torch.equal(plain, function(head, **base))
    for option, value in values.items():
        expected = function(head, **{**base, option: value})
        assert torch.equal(result(**{option: value}), expected)
        assert not same([plain], [expected])


@pytest.mark.parametrize(
    "name", [name for name, subject in SUBJECTS.items() if "in_features" in subject.base and name not in TREES]
)
def test_sizes_device_and_dtype_of_the_parameters(name):
    module = getattr(anymax.nn, name)
    law = {"noise": noise.Uniform(5)} if "noise" in SUBJECTS[name].values else {}
    made = module(3, 5, bias=True, dtype=torch.float16, device="meta", **law)
    assert options_of(module.__init__) >= SHAPES
    assert sorted(tuple(parameter.shape) for parameter in made.parameters()) == [(5,), (5, 3)]
    assert all(parameter.dtype == torch.float16 and parameter.is_meta for parameter in made.parameters())
