"""Objects of classes that are not read: modules of torch.nn, losses, distributions, loaders, models of torchvision."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from anymax.inspect.check import calls, ops
from anymax.inspect.check.calls import Call, as_tensor, known_tensors
from anymax.inspect.check.observed import Built, Sampler
from anymax.inspect.check.shapes import Axis, Shape, closed
from anymax.inspect.check.values import (
    Class,
    Const,
    Either,
    Instance,
    Layer,
    Made,
    Many,
    Place,
    Seq,
    Table,
    Tensor,
    Unknown,
    Value,
    batch,
    join,
    options,
)

if TYPE_CHECKING:
    from anymax.inspect.check.frames import Frame
    from anymax.inspect.check.interpret import Interpreter

# Each is constructed with the arguments of its op behind those that a call gives: the input and the target
LOSSES = {
    "CrossEntropyLoss": "cross_entropy",
    "NLLLoss": "nll_loss",
    "NLLLoss2d": "nll_loss",
    "BCELoss": "bce",
    "BCEWithLogitsLoss": "bce_with_logits",
    "MultiLabelSoftMarginLoss": "bce_with_logits",
    "SigmoidFocalLoss": "bce_with_logits",
    "AsymmetricLoss": "bce_with_logits",
    "KLDivLoss": "kl_div",
    "CTCLoss": "ctc_loss",
}
A_LOSS = "*loss"  # the losses that a file holds, whatever their names

SOFTMAXES = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Softmin": "softmin"}

# The arguments of distributions that take probabilities or scores
DISTRIBUTIONS = {
    "Categorical": ("probs", "logits"),
    "OneHotCategorical": ("probs", "logits"),
    "OneHotCategoricalStraightThrough": ("probs", "logits"),
    "Bernoulli": ("probs", "logits"),
    "ContinuousBernoulli": ("probs", "logits"),
    "Multinomial": ("total_count", "probs", "logits"),
    "RelaxedBernoulli": ("temperature", "probs", "logits"),
    "RelaxedOneHotCategorical": ("temperature", "probs", "logits"),
}

CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")
ITEMS = "*items"

# Where the models of torchvision and timm keep their last layers
HEADS = ("fc", "classifier", "head", "heads")
HEAD = "the head of a model"

UNCHANGED = [
    "Identity",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
    "FeatureAlphaDropout",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
]

RETURN_THEMSELVES = frozenset(
    [
        "to",
        "cuda",
        "cpu",
        "eval",
        "train",
        "half",
        "float",
        "double",
        "bfloat16",
        "requires_grad_",
        "apply",
        "compile",
        "share_memory",
        "to_empty",
        "type",
        "xpu",
    ]
)
MODULE_METHODS = RETURN_THEMSELVES | {"add_module", "register_module", "register_buffer", "register_parameter"}


def short_name(layer: str) -> str:
    return layer.rpartition(".")[2]


def is_layer(name: str) -> bool:
    last = short_name(name)
    if name.startswith(("torch.nn.", "anymax.")):
        return last[:1].isupper() and last not in ("Module", "Parameter")
    if name.startswith("torch.distributions.") or last == "DataLoader":
        return last[:1].isupper()
    return is_model(name)


def is_model(name: str) -> bool:
    """A model that gives scores of classes."""
    if name == "timm.create_model":
        return True
    rest = name.removeprefix("torchvision.models.")
    return (
        rest != name
        and "." not in rest
        and rest.islower()
        and rest not in ("detection", "segmentation", "video", "get_weight")
    )


def is_module_method(name: str) -> bool:
    return name in MODULE_METHODS


def build(
    interpreter: Interpreter, name: str, args: list[Value], kwargs: dict[str, Value], node: ast.AST, frame: Frame
) -> Layer:
    """An object of a class that is known by name."""
    short, place = short_name(name), interpreter.place(node, frame)
    layer = Layer(name if is_model(name) else short, tuple(args), kwargs, place)
    if short in SOFTMAXES and name.startswith("torch.nn.") and argument(layer, "dim", 0) is None and "**" not in kwargs:
        interpreter.see(Built(short, place))
    if short in CONTAINERS:
        layer.attrs[ITEMS] = _items(short, args)
    if short in DISTRIBUTIONS and name.startswith("torch.distributions."):
        _see_distribution(interpreter, short, args, kwargs, place)
    return layer


def _items(short: str, args: list[Value]) -> Value:
    first = args[0] if args else None
    if short == "Sequential" and len(args) == 1 and _is_named_pairs(first):
        return Seq(tuple(_values_of(first)))
    if short == "Sequential":
        return Seq(tuple(args))
    return first if first is not None else Seq(())


def _is_named_pairs(value: Value | None) -> bool:
    """`OrderedDict([("fc", nn.Linear(1, 2)), ...])` or a dict."""
    if isinstance(value, Seq) and value.items:
        return all(
            isinstance(one, Seq) and len(one.items) == 2 and isinstance(one.items[0], Const) for one in value.items
        )
    return isinstance(value, Table)


def _values_of(value: Value | None) -> list[Value]:
    if isinstance(value, Seq):
        return [one.items[1] for one in value.items if isinstance(one, Seq)]
    return list(value.items.values()) if isinstance(value, Table) else []


def _see_distribution(
    interpreter: Interpreter, short: str, args: list[Value], kwargs: dict[str, Value], place: Place
) -> None:
    names = DISTRIBUTIONS[short]
    given = dict(zip(names, args, strict=False))
    given.update(kwargs)
    for takes in ("probs", "logits"):
        inputs = known_tensors(given.get(takes))
        if inputs:
            interpreter.see(Sampler(short, takes, takes in kwargs, place, inputs))


def argument(layer: Layer, name: str, position: int | None = None) -> Value | None:
    if name in layer.kwargs:
        return layer.kwargs[name]
    return layer.args[position] if position is not None and position < len(layer.args) else None


def literal(layer: Layer, name: str, position: int | None = None) -> int | None:
    value = argument(layer, name, position)
    return value.value if isinstance(value, Const) and type(value.value) is int else None


def inherited(cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.AST | None) -> Layer | None:
    """An object of a class that only renames a known one: it has neither an `__init__` nor a `forward`."""
    known = [name for name in cls.foreign_bases() if is_layer(name)]
    if not known or cls.member("forward") is not None:
        return None
    layer = Layer(short_name(known[0]), tuple(args), kwargs, Place(cls.module, node or cls.node))
    if layer.name in CONTAINERS:
        layer.attrs[ITEMS] = _items(layer.name, args)
    return layer


# -- what is in them --------------------------------------------------------------------------------------------------


def modules_of(layer: Layer) -> Value:
    value = layer.attrs.get(ITEMS, Unknown())
    if isinstance(value, Table):
        return Seq(tuple(_values_of(value)))
    return value


def held_in(layer: Layer) -> list[Value]:
    """The modules that a container holds, where they are known."""
    inside = modules_of(layer)
    return list(inside.items) if isinstance(inside, Seq) else [inside.item] if isinstance(inside, Many) else []


def items_of(layer: Layer) -> list[Value]:
    """What a loop over the object sees."""
    if layer.name == "DataLoader":
        return [batch()]
    if layer.name == "ModuleDict" and isinstance(names := _of_a_dict(layer, "keys"), Seq):
        return list(names.items)
    inside = modules_of(layer)
    if isinstance(inside, Seq):
        return list(inside.items)
    return [inside.item] if isinstance(inside, Many) else [Unknown()]


def item(layer: Layer, key: Value | None) -> Value:
    if isinstance(key, Const) and str(key.value) in layer.attrs:
        return layer.attrs[str(key.value)]
    inside = layer.attrs.get(ITEMS)
    if isinstance(inside, Seq) and isinstance(key, Const) and type(key.value) is int:
        return inside.items[key.value] if -len(inside.items) <= key.value < len(inside.items) else Unknown()
    if isinstance(inside, Table) and isinstance(key, Const):
        return inside.items.get(key.value) or Unknown()
    if isinstance(inside, Many) and key is not None:
        return inside.item
    if isinstance(inside, Seq) and inside.items and key is not None:
        return join(list(inside.items))
    return Unknown()


def attribute(layer: Layer, name: str) -> Value | None:
    if name in HEADS and is_model(layer.name):
        return layer.attrs.setdefault(name, Layer(HEAD, (), {}, layer.place))
    if layer.name == "Linear" and name in ("in_features", "out_features"):
        return argument(layer, name, 0 if name == "in_features" else 1)
    if name in ("in_features", "out_features", "weight", "bias", "training"):
        return Unknown()
    return None


def call_method(
    interpreter: Interpreter,
    owner: Layer | Instance,
    name: str,
    args: list[Value],
    kwargs: dict[str, Value],
    node: ast.Call,
    frame: Frame,
) -> Value:
    if name in RETURN_THEMSELVES:
        return owner
    if name in ("add_module", "register_module") and len(args) == 2:
        if isinstance(owner, Instance) and isinstance(args[0], Const) and isinstance(args[0].value, str):
            interpreter.put(owner.attrs, args[0].value, args[1])
        elif isinstance(owner, Layer) and ITEMS in owner.attrs:
            grown = [
                Seq((*inside.items, args[1]), inside.exact) if isinstance(inside, Seq) else Unknown()
                for inside in options(owner.attrs[ITEMS])
            ]
            interpreter.put(owner.attrs, ITEMS, join(grown))
    if name == "register_buffer" and isinstance(owner, Instance):
        _keep_buffer(interpreter, owner, [*args, kwargs.get("tensor", Unknown())])
    if isinstance(owner, Layer) and name in ("append", "extend", "insert") and args:
        inside = owner.attrs.get(ITEMS)
        more = args[0].items if isinstance(args[0], Seq) and name == "extend" else (args[0],)
        known = isinstance(inside, Seq) and (name == "append" or (name == "extend" and isinstance(args[0], Seq)))
        interpreter.put(
            owner.attrs,
            ITEMS,
            Seq((*inside.items, *more), inside.exact) if known and isinstance(inside, Seq) else Unknown(),
        )
    if isinstance(owner, Layer) and name in ("items", "keys", "values") and not args:
        return _of_a_dict(owner, name)
    if isinstance(owner, Layer) and name == "forward":
        return call(interpreter, owner, args, kwargs, node, frame)
    return Unknown()


def _keep_buffer(interpreter: Interpreter, owner: Instance, args: list[Value]) -> None:
    """A buffer of a number that half precision cannot hold: unlike a number of Python, it is cast with its module."""
    name, value = args[0], args[1]
    if isinstance(name, Const) and isinstance(value, Tensor) and abs(value.filled or 0.0) > ops.LARGEST_HALF:
        interpreter.put(owner.attrs, name.value, value.but(dtype=ops.BUFFER))


def _of_a_dict(layer: Layer, name: str) -> Value:
    """`items()`, `keys()` and `values()` of a ModuleDict."""
    inside = layer.attrs.get(ITEMS)
    if not isinstance(inside, Table):
        return Unknown()
    pairs = [Seq((Const(key), value)) for key, value in inside.items.items()]
    return Seq(tuple(pairs) if name == "items" else tuple(pair.items[0 if name == "keys" else 1] for pair in pairs))


# -- calling them -----------------------------------------------------------------------------------------------------


def call(
    interpreter: Interpreter,
    layer: Layer,
    args: list[Value],
    kwargs: dict[str, Value],
    node: ast.Call,
    frame: Frame,
) -> Value:
    name = layer.name
    if name in LOSSES:
        op = LOSSES[name]
        set_here = dict(zip(ops.set_once(op), layer.args, strict=False)) | layer.kwargs
        return calls.run(interpreter, op, name, args, {**set_here, **kwargs}, node, frame, node.args, layer.place)
    if name in SOFTMAXES:
        dim = argument(layer, "dim", 0)
        given = {} if dim is None else {"dim": dim}
        return calls.run(interpreter, SOFTMAXES[name], name, args[:1], given, node, frame, node.args, layer.place)
    first = args[0] if args else next(iter(kwargs.values()), None)
    if name == "Sequential":
        return _through(interpreter, layer, first, node, frame)
    if first is None:
        return Unknown()
    direct = {"Softmax2d": "softmax2d", "Sigmoid": "sigmoid", "LogSigmoid": "logsigmoid", "Flatten": "flatten"}
    if name in direct:
        given = {}
        if name == "Flatten":
            given = {
                "start_dim": Const(1),
                **dict(zip(("start_dim", "end_dim"), layer.args, strict=False)),
                **layer.kwargs,
            }
        return calls.run(interpreter, direct[name], name, args[:1], given, node, frame, node.args, layer.place)
    results: list[Value] = []
    for one in options(first):
        tensor = as_tensor(one)
        if tensor is None:
            results.append(Unknown())
            continue
        made_by = Call(interpreter, name, name, node, frame, {}, {}, tensor=tensor)
        if is_model(name) or name == HEAD:
            results.append(_model(interpreter, layer, made_by, node, frame))
        else:
            results.append(_layer(layer, made_by))
    return join(results)


def _through(interpreter: Interpreter, layer: Layer, value: Value | None, node: ast.Call, frame: Frame) -> Value:
    inside = modules_of(layer)
    if isinstance(inside, Either):
        return join([_through_each(interpreter, one, value, node, frame) for one in inside.options])
    return _through_each(interpreter, inside, value, node, frame)


def _through_each(interpreter: Interpreter, inside: Value, value: Value | None, node: ast.Call, frame: Frame) -> Value:
    if not isinstance(inside, Seq) or value is None:
        return Unknown()
    for module in inside.items:
        value = interpreter.call(module.item if isinstance(module, Many) else module, [value], {}, node, frame)
    return value


def _model(interpreter: Interpreter, layer: Layer, call: Call, node: ast.Call, frame: Frame) -> Value:
    """What a ready model gives: scores, or what the head gives that the code put in."""
    axis = call.tensor.shape.axis(0) if call.tensor.shape.front else None
    samples = axis if axis is not None and axis.kind == "batch" else Axis("batch", sure=False)
    features = Tensor(closed((samples, Axis("feature"))))
    replaced = [layer.attrs[name] for name in HEADS if name in layer.attrs]
    if layer.name == HEAD:
        replaced = [value for key, value in layer.attrs.items() if key.lstrip("-").isdigit()]
    if replaced:
        return interpreter.call(replaced[-1], [features], {}, node, frame)
    classes = literal(layer, "num_classes")
    return Tensor(closed((samples, Axis("feature", classes))), call.made("scores"))


def _layer(layer: Layer, call: Call) -> Value:
    """One module of torch.nn on one tensor."""
    name, tensor = layer.name, call.tensor
    scores = call.made("scores")
    if name in ("Linear", "LazyLinear"):
        position = 1 if name == "Linear" else 0
        size = literal(layer, "out_features", position)
        return Tensor(tensor.shape.with_axis(-1, Axis("feature", size)), scores, tensor.dtype)
    if name.startswith(("Conv", "LazyConv")) and name[-2:] in ("1d", "2d", "3d"):
        size = literal(layer, "out_channels", 0 if name.startswith("Lazy") else 1)
        return ops.through_convolution(call, int(name[-2]), size)
    if name == "Embedding":
        return Tensor(tensor.shape.inserted(-1, Axis("feature", literal(layer, "embedding_dim", 1))))
    if name == "EmbeddingBag":
        return Tensor(closed((Axis("batch", sure=False), Axis("feature", literal(layer, "embedding_dim", 1)))))
    if name in ("LSTM", "GRU", "RNN"):
        return _recurrent(layer, tensor)
    if name in ("LSTMCell", "GRUCell", "RNNCell"):
        state = Tensor(tensor.shape.with_axis(-1, Axis("feature", literal(layer, "hidden_size", 1))))
        return Seq((state, state)) if name == "LSTMCell" else state
    if name == "MultiheadAttention":
        return Seq((Tensor(tensor.shape), Tensor()))
    if name == "Bilinear":
        return Tensor(tensor.shape.with_axis(-1, Axis("feature", literal(layer, "out_features", 2))), scores)
    if name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d"):
        return replace(call.changed(_samples_in_front(tensor.shape)), made=_kept(tensor))
    if name.startswith(("AdaptiveAvgPool", "AdaptiveMaxPool")):
        return _pooled(layer, tensor)
    if name in UNCHANGED or name.startswith("MaxPool"):
        return tensor.but(made=_kept(tensor, everything="Dropout" in name or name == "Identity"))
    if name in SAME_SHAPE:
        return call.changed()
    return Tensor()


SAME_SHAPE = frozenset(
    [
        "ReLU",
        "LeakyReLU",
        "ELU",
        "SELU",
        "CELU",
        "GELU",
        "SiLU",
        "Mish",
        "Softplus",
        "Softsign",
        "Tanh",
        "Hardtanh",
        "ReLU6",
        "Hardswish",
        "Hardsigmoid",
        "Hardshrink",
        "Softshrink",
        "Tanhshrink",
        "Threshold",
        "RReLU",
        "PReLU",
        "LayerNorm",
        "GroupNorm",
        "RMSNorm",
        "InstanceNorm1d",
        "InstanceNorm2d",
        "InstanceNorm3d",
        "LocalResponseNorm",
        "TransformerEncoder",
        "TransformerEncoderLayer",
        "TransformerDecoder",
        "TransformerDecoderLayer",
    ]
)


def _kept(tensor: Tensor, everything: bool = False) -> Made | None:
    return tensor.made if tensor.made and (everything or tensor.made.kind == "scores") else None


def _samples_in_front(shape: Shape) -> Shape:
    grown = shape.grown(0)
    first = grown.axis(0)
    if first is None or first.kind is not None:
        return grown
    return grown.with_axis(0, replace(first, kind="batch", sure=False))


def _pooled(layer: Layer, tensor: Tensor) -> Tensor:
    spatial = int(layer.name[-2]) if layer.name[-2].isdigit() else 2
    size = argument(layer, "output_size", 0)
    sizes = size.items if isinstance(size, Seq) else (size,) * spatial if size is not None else ()
    literals = [one.value if isinstance(one, Const) and type(one.value) is int else None for one in sizes]
    shape = ops.convolved(tensor.shape, spatial, None) if tensor.shape.open else tensor.shape
    if len(literals) != spatial or shape.rank is None or shape.rank <= spatial:
        return Tensor(Shape())
    front = shape.front[:-spatial]
    channels = tensor.shape.front[1:2] if tensor.shape.rank == spatial + 2 else front[1:2]
    places = tuple(Axis(kind, size) for kind, size in zip(ops.SPACE[spatial], literals, strict=True))
    return Tensor(closed((*front[:1], *channels, *front[2:], *places)), _kept(tensor))


def _recurrent(layer: Layer, tensor: Tensor) -> Value:
    """The outputs at each step and the last state; three axes, the samples second unless `batch_first`."""
    first = argument(layer, "batch_first", 4)
    is_first = first.value if isinstance(first, Const) else False if first is None else None
    both = argument(layer, "bidirectional", 6)
    size = literal(layer, "hidden_size", 1)
    out = Axis("feature", size if both is None else None)
    shape = tensor.shape.with_rank(3) if tensor.shape.rank != 2 else tensor.shape
    if shape.rank != 3 or is_first is None:
        return Seq((Tensor(tensor.shape.with_axis(-1, out)), Unknown()))
    samples_at = 0 if is_first else 1
    samples, steps = shape.front[samples_at], shape.front[1 - samples_at]
    if samples.kind is None:
        samples = replace(samples, kind="batch")
    if steps.kind is None:
        steps = replace(steps, kind="position")
    axes = (samples, steps, out) if is_first else (steps, samples, out)
    if steps.kind == "batch" or samples.kind != "batch":
        axes = (Axis(), Axis(), out)
    state = Tensor(closed((Axis(), axes[samples_at], Axis("feature", size))))
    return Seq((Tensor(closed(axes)), Seq((state, state)) if layer.name == "LSTM" else state))
