"""The ops that rules speak of: softmax and sigmoid, logarithms, losses, samplers, masks, arithmetic."""

from __future__ import annotations

import ast
from dataclasses import replace

from anymax.inspect.check.calls import Call, as_tensor, known_tensors, op
from anymax.inspect.check.observed import Log, Loss, Quotient, Sampler, Sigmoid, Softmax
from anymax.inspect.check.shapes import Axis, Shape, broadcast, closed, distinct, legacy_dim, same_rank
from anymax.inspect.check.values import (
    Const,
    External,
    Factor,
    Linear,
    Made,
    Place,
    Seq,
    Size,
    Spread,
    Tensor,
    Test,
    Unknown,
    Use,
    Value,
)

# Shifts of this size keep a logarithm finite and change nothing else.
SMALL = 1e-2

SAME_VALUES = (
    "contiguous clone detach detach_ to cpu cuda float half double bfloat16 type type_as requires_grad_ numpy tolist "
    "item as_tensor tensor from_numpy asarray identity dropout alpha_dropout feature_alpha_dropout dropout1d dropout2d "
    "dropout3d checkpoint retain_grad pin_memory alias lift array bool"
)
SAME_SHAPE = (
    "relu leaky_relu elu selu celu gelu silu mish softplus softsign tanh hardtanh relu6 hardswish hardsigmoid "
    "hardshrink softshrink tanhshrink threshold rrelu prelu abs sqrt rsqrt sin cos tan round floor ceil sign erf "
    "log1p log2 log10 expm1 reciprocal layer_norm batch_norm instance_norm group_norm rms_norm local_response_norm "
    "normalize masked_scatter logical_not long int rand_like randn_like "
    "empty_like fill_ zero_ tril triu eq ne gt lt ge le maximum minimum"
)


@op("softmax log_softmax softmin", "input dim")
def _softmax(call: Call) -> Value:
    dim, shape = call.dim(), call.tensor.shape
    taken = legacy_dim(shape.rank) if dim == "missing" and shape.rank is not None else dim
    return distribution(call, "log_softmax" if call.op == "log_softmax" else "softmax", taken)


@op("gumbel_softmax", "input tau hard eps dim")
def _gumbel_softmax(call: Call) -> Value:
    dim = call.dim()
    see_sampler(call, "gumbel_softmax", "logits", True, list(call.paths))
    return distribution(call, "softmax", -1 if dim == "missing" else dim)


@op("softmax2d", "input")
def _softmax2d(call: Call) -> Value:
    return distribution(call, "softmax", -3)


def distribution(call: Call, kind: str, taken: object) -> Tensor:
    """The tensor normalised over the axis `taken`, which may be "missing" or "unknown"."""
    shape, axis = call.tensor.shape, None
    if isinstance(taken, int):
        shape = shape.grown(taken)
        axis = shape.axis(taken)
    made = replace(call.made(kind, axis, taken if isinstance(taken, int) else None), shape=shape)
    call.interpreter.see(
        Softmax(
            call.op,
            call.place,
            call.built,
            -3 if call.op == "softmax2d" else call.dim(),
            call.tensor.with_shape(shape),
            axis,
            made,
            call.written,
            call.nodes.get("input"),
            call.paths,
        )
    )
    return Tensor(shape, made, call.tensor.dtype)


@op("sigmoid", "input")
def _sigmoid(call: Call) -> Value:
    call.interpreter.see(Sigmoid(call.place, call.paths))
    return call.changed(made=call.made("sigmoid"))


@op("logsigmoid", "input")
def _logsigmoid(call: Call) -> Value:
    return call.changed(made=call.made("logsigmoid"))


@op("log", "input")
def _log(call: Call) -> Value:
    made = call.tensor.made
    if made is not None and made.kind == "sum" and (summed := made.operand) and summed.made and summed.kind() == "exp":
        total = Made("logsumexp", call.place, summed.made.operand, made.axis, made.dim, made.shifted)
        if not made.shifted and summed.made.operand and is_below_all(summed.made.operand, made):
            call.interpreter.see(Quotient("log_softmax", call.place, made.place, made.dim, "below all"))
        return call.changed(made=replace(total, written_out="masked" if summed.made.shifted else "plain"))
    if made is None or made.kind not in ("softmax", "sigmoid", "complement"):
        return call.changed()
    if made.mixed:
        return Tensor(call.tensor.shape, Made("log_softmax", call.place, None, made.axis, made.dim))
    call.interpreter.see(Log(call.place, call.tensor, call.nodes.get("input"), call.paths))
    kind = "log_softmax" if made.kind == "softmax" else "logsigmoid"
    return Tensor(call.tensor.shape, Made(kind, call.place, made.operand, made.axis, made.dim))


@op("exp", "input")
def _exp(call: Call) -> Value:
    made = call.tensor.made
    if made is not None and made.kind == "log_softmax":
        return Tensor(call.tensor.shape, Made("softmax", made.place, made.operand, made.axis, made.dim))
    if made is not None and made.kind == "logsigmoid":
        return Tensor(call.tensor.shape, Made("sigmoid", made.place, made.operand))
    return call.changed(made=call.made("exp"))


@op("clamp", "input min max")
def _clamp(call: Call) -> Value:
    made = call.tensor.made
    if made is None or made.kind not in ("softmax", "sigmoid", "complement", "scores", "sum"):
        return call.changed()
    low = call.const("min")
    if made.kind == "scores" and isinstance(low, int | float) and low >= 0:
        return call.changed()
    return call.tensor.but(made=replace(made, shifted=True), pair=None)


@op(SAME_VALUES, "input")
def _same_values(call: Call) -> Value:
    return call.tensor.but(dtype=_dtype(call))


LARGEST_HALF = 65504.0
BUFFER = "that of its module"
HALF = ("torch.float16", "torch.half")
PLACES = ("device", "cuda", "cpu")


def _dtype(call: Call) -> str | None:
    """What numbers are held in after a cast: "half", or nothing that matters."""
    dtype = call.tensor.dtype
    if call.op == "half":
        return "half"
    if call.op in ("float", "double", "bfloat16"):
        return None
    given = [*call.rest[1:], *(value for name, value in call.values.items() if name != "input")]
    if any(isinstance(one, External) and one.name in HALF for one in given):
        return "half"
    casts = call.op in ("to", "type", "type_as") and not all(isinstance(one, Const) for one in given)
    if casts and isinstance(call.node, ast.Call):
        # a device changes nothing; anything else may be another type
        written = " ".join(map(ast.unparse, [*call.node.args, *(keyword.value for keyword in call.node.keywords)]))
        return dtype if any(word in written for word in PLACES) and "dtype" not in written else None
    return dtype


@op("zeros_like ones_like", "input")
def _filled_alike(call: Call) -> Value:
    return replace(call.changed(), filled=0.0 if call.op == "zeros_like" else 1.0)


@op("full_like", "input fill_value")
def _full_like(call: Call) -> Value:
    return replace(call.changed(), filled=number_of(call.value("fill_value")))


@op("full new_full", "size fill_value", whole=True)
def _full(call: Call) -> Value:
    given = call.rest[2] if call.op == "new_full" and len(call.rest) > 2 else call.value("fill_value")
    return Tensor(filled=number_of(given))


def number_of(value: Value | None) -> float | None:
    """The number that a value is, or each of its entries."""
    if isinstance(value, Tensor):
        return value.filled
    number = value.value if isinstance(value, Const) else None
    return float(number) if isinstance(number, (int, float)) and not isinstance(number, bool) else None


@op(SAME_SHAPE, "input")
def _same_shape(call: Call) -> Value:
    return call.changed()


@op("nan_to_num", "input")
def _nan_to_num(call: Call) -> Value:
    if (made := call.tensor.made) and made.is_distribution:
        made.uses.append(Use("cleaned", made.axis, call.place))
    return call.changed()


@op("pow square", "input exponent")
def _power(call: Call) -> Value:
    return call.changed(made=call.made("computed"))


@op("masked_fill", "input mask value")
def _masked_fill(call: Call) -> Value:
    return masked(call.tensor, call.value("value"), call.place, call.value("mask"))


@op("where", "condition input other", whole=True)
def _where(call: Call) -> Value:
    """`torch.where(mask, scores, constant)`, either way round."""
    first, second = call.value("input"), call.value("other")
    constants = [_where_chosen(call.value("condition"), value, at == 0) for at, value in enumerate((first, second))]
    kept, constant = (second, constants[0]) if constants[0] is not None else (first, constants[1])
    tensor = as_tensor(kept)
    if tensor is None:
        return Tensor()
    if constant is None:
        return Tensor(tensor.shape)
    return masked(tensor, Const(constant), call.place, call.value("condition"))


def _where_chosen(condition: Value | None, value: Value | None, holds: bool) -> float | None:
    """What `value` is wherever the condition `holds`, or does not, if it is one number there.

    `mask * -1e9` is 0, and hides nothing, where `mask == 0`.
    """
    number = number_of(value)
    relation = value.relation if isinstance(value, Tensor | Unknown) else None
    if number is not None or not isinstance(relation, Linear):
        return number
    test = condition.relation if isinstance(condition, Tensor | Unknown) else None
    if isinstance(test, Test) and test.equal is holds and same_values(test.of, relation.of):
        return relation.times * test.number + relation.plus + 0.0
    if not holds and condition is not None and same_values(condition, relation.of):
        return relation.plus + 0.0
    return None


def same_values(one: Value, other: Value) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.origin is other.origin
    return one is other


def linear(sign: ast.operator, left: Value, right: Value) -> Linear | None:
    """How `left sign right` depends on one of the two, where the other is a number."""
    for value, number, is_left in ((left, number_of(right), True), (right, number_of(left), False)):
        if number is None or not isinstance(value, Tensor | Unknown) or number_of(value) is not None:
            continue
        own = value.relation if isinstance(value.relation, Linear) else Linear(value, 1.0, 0.0)
        if isinstance(sign, ast.Mult):
            return Linear(own.of, own.times * number, own.plus * number)
        if isinstance(sign, ast.Add):
            return Linear(own.of, own.times, own.plus + number)
        if isinstance(sign, ast.Sub) and is_left:
            return Linear(own.of, own.times, own.plus - number)
        if isinstance(sign, ast.Sub):
            return Linear(own.of, -own.times, number - own.plus)
    return None


def masked(tensor: Tensor, value: Value | None, place: Place, mask: Value | None = None) -> Tensor:
    if tensor.made is not None and tensor.made.is_distribution:
        tensor.made.uses.append(Use("cleaned", tensor.made.axis, place))
    number = number_of(value)
    new = tensor.but(origin=object(), masked=None, mask=None, filled=None, relation=None)
    if number is None:
        return new
    shape = (
        mask.shape
        if isinstance(mask, Tensor)
        else mask.tensor.shape
        if isinstance(mask, Unknown) and mask.tensor
        else None
    )
    return replace(new, masked=(number, place), mask=shape, masked_before=tensor.masked is not None)


# -- losses and samplers ----------------------------------------------------------------------------------------------

LOSS_ARGUMENTS = {
    "cross_entropy": "input target weight size_average ignore_index reduce reduction label_smoothing",
    "nll_loss": "input target weight size_average ignore_index reduce reduction",
    "bce": "input target weight size_average reduce reduction",
    "bce_with_logits": "input target weight size_average reduce reduction pos_weight",
    "kl_div": "input target size_average reduce reduction log_target",
    "ctc_loss": "log_probs targets input_lengths target_lengths blank reduction zero_infinity",
}
# How many of these are given with each call; a module gets the others when it is constructed
GIVEN_WITH_A_CALL = {"ctc_loss": 4}


def set_once(loss: str) -> list[str]:
    """The arguments that a module of this loss is constructed with."""
    return LOSS_ARGUMENTS[loss].split()[GIVEN_WITH_A_CALL.get(loss, 2) :]


def _loss(call: Call) -> Value:
    names = LOSS_ARGUMENTS[call.op].split()[: GIVEN_WITH_A_CALL.get(call.op, 2)]
    call.interpreter.see(
        Loss(
            call.op,
            call.written,
            call.place,
            call.built,
            known_tensors(call.value(names[0])),
            known_tensors(call.value(names[1])),
            {name: value for name, value in call.values.items() if name not in names},
            call.interpreter.certain,
            call.nodes.get(names[0]),
        )
    )
    if call.op == "kl_div" and call.const("reduction") == "none":
        return _divergence(call, as_tensor(call.value("input")), as_tensor(call.value("target")))
    return Tensor(closed(()) if "reduction" not in call.values else Shape())


def _divergence(call: Call, one: Tensor | None, other: Tensor | None) -> Tensor:
    """What kl_div gives for each entry; the axis is the one over which the entries sum to a divergence."""
    for tensor in (one, other):
        if tensor is not None and tensor.made is not None and tensor.made.is_distribution:
            return Tensor(tensor.shape, Made("divergence", call.place, None, tensor.made.axis))
    return Tensor(one.shape if one else Shape(), Made("divergence", call.place))


for _name, _arguments in LOSS_ARGUMENTS.items():
    op(_name, _arguments, whole=True)(_loss)


@op("multinomial", "input num_samples", whole=True)
def _multinomial(call: Call) -> Value:
    see_sampler(call, call.written, "probs", True, known_tensors(call.value("input")))
    return Tensor()


@op("bernoulli", "input", whole=True)
def _bernoulli(call: Call) -> Value:
    see_sampler(call, call.written, "probs", True, known_tensors(call.value("input")))
    return Tensor()


def see_sampler(call: Call, name: str, takes: str, explicit: bool, inputs: list[Tensor] | None) -> None:
    if inputs:
        call.interpreter.see(Sampler(name, takes, explicit, call.place, inputs))


# -- tensors that are made --------------------------------------------------------------------------------------------


@op("randn rand zeros ones empty", "size", whole=True)
def _created(call: Call) -> Value:
    sizes = call.rest
    if len(sizes) == 1 and isinstance(sizes[0], Seq):
        sizes = sizes[0].items
    rest = sizes[-1] if sizes and isinstance(sizes[-1], Spread) else None
    sizes = sizes[:-1] if rest else sizes
    if not (sizes or rest) or not all(isinstance(one, Const | Size | Unknown) for one in sizes):
        return Tensor()
    axes = [
        one.axis
        if isinstance(one, Size)
        else Axis(size=one.value if isinstance(one, Const) and type(one.value) is int else None)
        for one in sizes
    ]
    scores = Made("scores", call.place) if call.op == "randn" else None
    if rest is not None:
        return Tensor(Shape(distinct((*axes, *rest.shape.front)), rest.shape.back), scores)
    return Tensor(closed(axes), scores)


@op("randint", "low high size", whole=True)
def _randint(call: Call) -> Value:
    sizes = next((one for one in (*call.rest, call.value("size")) if isinstance(one, Seq)), None)
    if sizes is None:
        return Tensor(dtype="int")
    return Tensor(closed(Axis(size=one.value if isinstance(one, Const) else None) for one in sizes.items), dtype="int")


@op("linear", "input weight bias")
def _linear(call: Call) -> Value:
    return Tensor(call.tensor.shape.with_axis(-1, Axis("feature")), Made("scores", call.place, call.tensor))


@op("conv1d conv2d conv3d", "input weight bias")
def _conv(call: Call) -> Value:
    return through_convolution(call, int(call.op[4]), None)


SPACE = {1: ("position",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def through_convolution(call: Call, spatial: int, channels: int | None) -> Tensor:
    tensor = call.tensor
    if tensor.kind() == "product":
        # the heads of attention are mixed; its queries and keys are no pixels
        return Tensor(tensor.shape.with_rank(spatial + 2), tensor.made)
    return Tensor(convolved(tensor.shape, spatial, channels), Made("scores", call.place, tensor))


def convolved(shape: Shape, spatial: int, channels: int | None) -> Shape:
    """What comes out of a convolution: samples, channels, places."""
    if shape.rank == spatial + 1:
        return closed((Axis("channel", channels), *(Axis(kind) for kind in SPACE[spatial])))
    first = shape.axis(0) if shape.front else None
    if first is None or first.kind != "batch":
        first = replace(first, kind="batch", sure=False) if first else Axis("batch", sure=False)
    return closed((first, Axis("channel", channels), *(Axis(kind) for kind in SPACE[spatial])))


@op("interpolate upsample grid_sample pad max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d", "input")
def _resampled(call: Call) -> Value:
    kept = call.tensor.made if call.op in ("interpolate", "upsample", "grid_sample") else None
    return call.tensor.but(made=kept if kept and kept.kind == "scores" else None, pair=None, origin=object())


@op("one_hot", "input num_classes")
def _one_hot(call: Call) -> Value:
    classes = Axis("feature")
    return Tensor(call.tensor.shape.inserted(-1, classes), call.made("one_hot", classes))


@op("embedding", "input weight")
def _embedding(call: Call) -> Value:
    return Tensor(call.tensor.shape.inserted(-1, Axis("feature")))


# -- arithmetic -------------------------------------------------------------------------------------------------------


# What is no scores: the exponential of a difference, or of a negative number, does not overflow
PLAIN = ("difference", "computed", "negative")


def negated(call: Call, tensor: Tensor) -> Tensor:
    made = tensor.made if tensor.made and tensor.made.kind in ("scores", "product") else None
    if made is None:
        return Tensor(tensor.shape, _negative(call, tensor), tensor.dtype)
    return Tensor(tensor.shape, made, tensor.dtype, tensor.pair)


def _negative(call: Call, tensor: Tensor) -> Made:
    """Distances and costs, as a rule, whose exponentials can all be 0; a difference is one from the smallest."""
    known = tensor.filled is not None or (tensor.made is not None and tensor.made.kind in PLAIN)
    return Made("computed" if known else "negative", call.place, tensor)


@op("add subtract multiply divide", "input other")
def _arithmetic(call: Call) -> Value:
    signs = {"add": ast.Add(), "subtract": ast.Sub(), "multiply": ast.Mult(), "divide": ast.Div()}
    return combined(call, signs[call.op], call.tensor, call.value("other") or Unknown())


def combined(call: Call, sign: ast.operator, left: Value, right: Value) -> Tensor:
    """`left sign right`, where at least one side is a tensor."""
    one, other = _operand(left), _operand(right)
    if one is None and other is None:
        return Tensor()
    if one is None or other is None:
        return _with_a_number(call, sign, left, right)
    one, other = (replace(each, made=None) if each.kind() == "part" else each for each in (one, other))
    shape = broadcast(one.shape, other.shape)
    if quotient := _own_softmax(call, sign, one, other):
        return quotient
    if isinstance(sign, ast.Mult) and BUFFER in (one.dtype, other.dtype):
        return _times_a_buffer(call, one, other, shape)
    if isinstance(sign, ast.Mult) and (made := _masked_exponential(one, other)):
        return Tensor(shape, made)
    if isinstance(sign, ast.Mult) and (hidden := _times_a_mask(call, one, other)):
        return hidden.but(shape=shape)
    if isinstance(sign, ast.Mult):
        return Tensor(shape, _scaled(one, other), factor=_factor(one, other, shape), pair=_kept_pair(one, other, shape))
    if isinstance(sign, ast.Add | ast.Sub):
        made = _shifted(one, other)
        if made is not None and one.made is made and not one.shape.open and other.shape.open:
            shape = one.shape
        if made is None and isinstance(sign, ast.Sub):
            made = call.made("difference")
        elif made is not None and isinstance(sign, ast.Sub):
            made = replace(made, lowered=True)
        if made is not None and isinstance(sign, ast.Sub) and other.largest_of is one.origin:
            made = replace(made, below_all=True)
        held = next((each for each in (one, other) if each.dtype == BUFFER and each.masked), Tensor())
        return Tensor(shape, made, held.dtype, _kept_pair(one, other, shape), held.masked)
    return Tensor(
        shape,
        _scaled(one, other) if isinstance(sign, ast.Div) else call.made("computed"),
        pair=_kept_pair(one, other, shape),
    )


def _times_a_buffer(call: Call, one: Tensor, other: Tensor, shape: Shape) -> Tensor:
    """`(1 - mask) * buffer`, which is 0 times infinity where the mask hides nothing and the buffer overflowed."""
    number = one.filled if one.dtype == BUFFER else other.filled
    both = one.dtype == other.dtype
    return Tensor(shape) if number is None or both else Tensor(shape, None, BUFFER, masked=(number, call.place))


def _times_a_mask(call: Call, one: Tensor, other: Tensor) -> Tensor | None:
    """Scores that are set to 0 where a comparison does not hold; probabilities that are so are clean."""
    for tensor, mask in ((one, other), (other, one)):
        if not mask.zero_or_one or tensor.zero_or_one:
            continue
        if tensor.made is not None and tensor.made.is_distribution:
            tensor.made.uses.append(Use("cleaned", tensor.made.axis, call.place))
            return None
        return masked(tensor, Const(0.0), call.place, mask)
    return None


def _operand(value: Value) -> Tensor | None:
    return value if isinstance(value, Tensor) else value.tensor if isinstance(value, Unknown) else None


def _with_a_number(call: Call, sign: ast.operator, left: Value, right: Value) -> Tensor:
    on_the_left = _operand(left) is not None
    tensor = _operand(left) or _operand(right) or Tensor()
    number = right if on_the_left else left
    value = number.value if isinstance(number, Const) else None
    made = tensor.made
    if tensor.dtype == BUFFER and tensor.filled is not None and isinstance(sign, ast.Mult):
        return _times_a_buffer(call, tensor, Tensor(), Shape()) if isinstance(number, Unknown) else Tensor()
    if isinstance(number, Unknown):
        # it may be a tensor, along which an axis of size 1 is repeated
        tensor = tensor.with_shape(tensor.shape.mapped(lambda axis: Axis() if axis.size == 1 else axis))
    if isinstance(sign, ast.Sub) and isinstance(number, Unknown) and (made is None or made.kind != "product"):
        kept = replace(made, lowered=True) if made and made.kind == "scores" else None
        held = tensor if tensor.dtype == BUFFER else Tensor()
        return Tensor(tensor.shape, kept or call.made("difference"), held.dtype, masked=held.masked)
    if made is None:
        # the exponential of such a thing is a kernel rather than a softmax
        bounded = isinstance(sign, ast.Pow) or (isinstance(value, int | float) and value < 0)
        return Tensor(tensor.shape, call.made("computed") if bounded else None, tensor.dtype, masked=tensor.masked)
    if made.kind == "divergence":
        return tensor if isinstance(sign, ast.Mult | ast.Div) and on_the_left else Tensor(tensor.shape)
    if made.kind in ("scores", "product"):
        flips = not on_the_left and isinstance(sign, ast.Div | ast.Pow)
        linear = isinstance(sign, ast.Add | ast.Sub | ast.Mult | ast.Div) and not flips
        return tensor.but(origin=object()) if linear else Tensor(tensor.shape)
    if made.kind in ("softmax", "sigmoid", "sum") and isinstance(value, int | float):
        if isinstance(sign, ast.Add) and abs(value) <= SMALL:
            return tensor.but(made=replace(made, shifted=True))
        if isinstance(sign, ast.Sub) and value == 1 and not on_the_left:
            return Tensor(tensor.shape, Made("complement", call.place, tensor) if made.kind == "sigmoid" else None)
    if isinstance(sign, ast.Mult) and made.kind == "exp" and isinstance(number, Unknown):
        return Tensor(tensor.shape, replace(made, shifted=True))
    if isinstance(sign, ast.Mult) and made.kind == "softmax":
        return Tensor(tensor.shape, factor=Factor(made, made.axis))
    return Tensor(tensor.shape, made if made.kind in PLAIN else None, tensor.dtype, factor=tensor.factor)


def _masked_exponential(one: Tensor, other: Tensor) -> Made | None:
    """exp(x) * mask, which may be divided by its own sum."""
    made = [tensor.made for tensor in (one, other) if tensor.made]
    return replace(made[0], shifted=True) if len(made) == 1 and made[0].kind == "exp" else None


def _scaled(one: Tensor, other: Tensor) -> Made | None:
    """Scores stay scores where they are multiplied with something that is none."""
    made = [tensor.made for tensor in (one, other) if tensor.made]
    if len(made) == 1 and made[0].kind == "product":
        return made[0]
    return next((each for each in made if each.kind in PLAIN), None)


def _shifted(one: Tensor, other: Tensor) -> Made | None:
    """Scores to which a bias, a mask or other scores were added."""
    kinds = [tensor.made for tensor in (one, other) if tensor.made]
    if kinds and all(made.kind in ("scores", "product") for made in kinds):
        return kinds[0]
    return next((made for made in kinds if made.kind in PLAIN), None)


def _kept_pair(one: Tensor, other: Tensor, shape: Shape) -> tuple[Axis, Axis] | None:
    pair = one.pair or other.pair
    if pair is None or (one.pair and other.pair):
        return None
    return pair if all(any(axis is held for held in shape.known) for axis in pair) else None


def _factor(one: Tensor, other: Tensor, shape: Shape) -> Factor | None:
    for tensor, items in ((one, other), (other, one)):
        if tensor.made is None or tensor.made.kind != "softmax":
            continue
        last = tensor.shape.axis(-1)
        alike = last is not None and last.size == 1 and same_rank(tensor.shape, items.shape)
        return Factor(tensor.made, _axis_of_factor(tensor, shape), alike)
    return None


def _axis_of_factor(tensor: Tensor, shape: Shape) -> Axis | None:
    """The axis of a product that one of its factors was normalised over."""
    assert tensor.made is not None
    dim = tensor.shape.dim_of(tensor.made.axis) if tensor.made.axis is not None else None
    if dim is None:
        return None
    return shape.axis(dim if dim < 0 or tensor.shape.rank is None else dim - tensor.shape.rank)


def _own_softmax(call: Call, sign: ast.operator, one: Tensor, other: Tensor) -> Tensor | None:
    """x - logsumexp(x) and exp(x) / exp(x).sum(), written out."""
    total = other.made
    if total is None or total.operand is None:
        return None
    if isinstance(sign, ast.Sub) and total.kind == "logsumexp":
        name, scores, summed = "log_softmax", one, total.operand
        if total.written_out:
            return _log_of_a_sum(call, one, total)
    elif isinstance(sign, ast.Div) and total.kind == "sum" and one.kind() == "exp" and total.operand.kind() == "exp":
        name, scores, summed = "softmax", _exponent(one), _exponent(total.operand)
    else:
        return None
    if (one.made and one.made.shifted) and one.origin is not total.operand.origin:
        return None
    if scores is None or summed is None or scores.origin is not summed.origin:
        return None
    way = _way_of(scores, total) if name == "softmax" else None
    if way is None and _is_plain(scores):
        return None
    way = way or ("grouped" if total.grouped else "plain")
    call.interpreter.see(Quotient(name, call.place, total.place, total.dim, way))
    return Tensor(one.shape, Made(name, call.place, scores, total.axis, total.dim))


def _log_of_a_sum(call: Call, scores: Tensor, total: Made) -> Tensor | None:
    """x - log(exp(x).sum()), where a mask may have taken some of the exponentials away."""
    if total.operand is None or scores.origin is not total.operand.origin or total.shifted:
        return None
    # a difference is one from the largest, as a rule, whose own exponential keeps the sum from 0 unless it is masked
    lowered = scores.made is not None and (scores.made.kind == "difference" or scores.made.lowered)
    if total.written_out == "plain" and lowered:
        return None
    way = "shifted and masked" if lowered else f"written out, {total.written_out}"
    call.interpreter.see(Quotient("log_softmax", call.place, total.place, total.dim, way))
    return Tensor(scores.shape, Made("log_softmax", call.place, scores, total.axis, total.dim))


def _way_of(scores: Tensor, total: Made) -> str | None:
    """How the exponentials of a sum can all be 0, where they do not overflow."""
    made = scores.made
    if made is None or made.shifted or total.shifted or total.dim is None:
        return None
    if is_below_all(scores, total):
        return "below all"
    return "negative" if made.kind == "negative" else None


def is_below_all(scores: Tensor, total: Made) -> bool:
    """Whether one largest entry was subtracted from several rows of exponentials that are added up by rows."""
    rows = scores.shape.least_rank >= 2 or (total.dim is not None and total.dim >= 1)
    return scores.made is not None and scores.made.below_all and total.dim is not None and rows


def _is_plain(tensor: Tensor) -> bool:
    return tensor.made is not None and (tensor.made.kind in PLAIN or tensor.made.lowered)


def _exponent(tensor: Tensor) -> Tensor | None:
    return tensor.made.operand if tensor.made else None
