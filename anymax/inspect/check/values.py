"""What an expression may be, as far as reading tells."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from anymax.inspect.check.shapes import Axis, Shape

if TYPE_CHECKING:
    from anymax.inspect.check.frames import Scope
    from anymax.inspect.check.project import Module

MOST_ALTERNATIVES = 6


class Value:
    """The base. Values are compared by identity: two that were made apart are two."""

    __slots__ = ()


@dataclass(frozen=True, eq=False)
class Linear:
    """`times * of + plus`, with numbers that the code has."""

    of: Value
    times: float
    plus: float


@dataclass(frozen=True, eq=False)
class Test:
    """`of == number`, or whether it differs."""

    of: Value
    number: float
    equal: bool


@dataclass(eq=False)
class Unknown(Value):
    """Anything. It may be a tensor: then `tensor` is what is known of it, made once, so that it stays the same one."""

    tensor: Tensor | None = None
    batch: Axis | None = None  # it came out of a loader: the first axis of each of its tensors
    members: dict[Any, Unknown] | None = None
    relation: Linear | Test | None = None  # to another value

    def member(self, key: Any) -> Unknown:
        """An attribute or item, the same one each time."""
        if self.members is None:
            self.members = {}
        if key not in self.members:
            tensor = Tensor(Shape(front=(self.batch,))) if self.batch else None
            self.members[key] = Unknown(tensor, self.batch)
        return self.members[key]


def batch() -> Unknown:
    """What a loader gives: tensors whose first axis holds the samples."""
    axis = Axis("batch")
    return Unknown(Tensor(Shape(front=(axis,))), axis)


@dataclass(eq=False)
class Imported(Value):
    """What an import statement asks for; looked up when the name is used."""

    module: str
    name: str | None
    level: int
    importer: Module


@dataclass(eq=False)
class Const(Value):
    """None, a bool, a number or a string."""

    value: Any


@dataclass(eq=False)
class Size(Value):
    """The size of an axis, as an int that is not known."""

    axis: Axis


@dataclass(eq=False)
class Sizes(Value):
    """`x.shape`, and the expression that is x."""

    tensor: Tensor
    node: ast.expr | None = None


@dataclass(eq=False)
class Seq(Value):
    """A tuple or list of which every item is known to be there; there may be more where a loop of which the length is
    not known made it, and it is not `exact`."""

    items: tuple[Value, ...]
    exact: bool = True


@dataclass(eq=False)
class Many(Value):
    """A list, tuple or iterator of unknown length whose items are all like `item`."""

    item: Value


@dataclass(eq=False)
class Spread(Many):
    """`*x.shape`, of which it is not known how many sizes there are."""

    shape: Shape = field(default_factory=Shape)


@dataclass(eq=False)
class Table(Value):
    """A dict of known keys. A record of a package that is not read is one too: its items are attributes, and `order`
    says which come first where it is unpacked."""

    items: dict[Any, Value]
    is_record: bool = False
    order: tuple[str, ...] = ()


@dataclass(eq=False)
class External(Value):
    """Something of a package that is not read, by its full name."""

    name: str


@dataclass(eq=False)
class ModuleValue(Value):
    """A module that is read."""

    module: Module


@dataclass(eq=False)
class Function(Value):
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    owner: Class | None = None
    bound: Value | None = None
    kind: str = "function"  # or static, class, property

    @property
    def name(self) -> str:
        return getattr(self.node, "name", "<lambda>")


# Classes whose declared names are the arguments that they take, by their bases and decorators
RECORD_BASES = ("NamedTuple", "BaseModel")
RECORD_DECORATORS = ("dataclass", "define", "frozen")


def _name_of(node: ast.expr) -> str | None:
    """The last name of `dataclasses.dataclass(frozen=True)`."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


@dataclass(eq=False)
class Class(Value):
    node: ast.ClassDef
    module: Module
    bases: tuple[Value, ...]
    members: dict[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name

    def ancestry(self) -> Iterator[Class]:
        """This class and those that it inherits from, the nearest first, each once; diamonds are not sorted."""
        seen: set[int] = set()
        pending: list[Value] = [self]
        while pending:
            one = pending.pop(0)
            if isinstance(one, Class) and id(one) not in seen:
                seen.add(id(one))
                yield one
                pending.extend(one.bases)

    def member(self, name: str) -> Value | None:
        for one in self.ancestry():
            if name in one.members:
                return one.members[name]
        return None

    def foreign_bases(self) -> list[str]:
        return [base.name for one in self.ancestry() for base in one.bases if isinstance(base, External)]

    @property
    def fields(self) -> list[str]:
        """The names that a class of records declares, in order: a dataclass, a NamedTuple. Empty for another class."""
        one_of_them = any(name.endswith(RECORD_BASES) for name in self.foreign_bases()) or any(
            _name_of(decorator) in RECORD_DECORATORS for one in self.ancestry() for decorator in one.node.decorator_list
        )
        if not one_of_them or "__init__" in self.members:
            return []
        names = [
            statement.target.id
            for one in reversed(list(self.ancestry()))
            for statement in one.node.body
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        ]
        return list(dict.fromkeys(names))

    @property
    def is_module(self) -> bool:
        """Calls of it are calls of its `forward`."""
        return self.member("forward") is not None and any(
            "Module" in name or "Model" in name for name in self.foreign_bases()
        )


@dataclass(eq=False)
class Instance(Value):
    cls: Class
    attrs: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False)
class Super(Value):
    """`super()` in a method of `cls`."""

    cls: Class
    instance: Value


@dataclass(eq=False)
class Layer(Value):
    """An object of a class that is not read: a module of torch.nn, a distribution, a model of torchvision."""

    name: str
    args: tuple[Value, ...]
    kwargs: dict[str, Value]
    place: Place
    attrs: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False)
class BoundMethod(Value):
    """A method of a value that is none of ours: `x.softmax`, `layers.append`."""

    owner: Value
    name: str
    owner_node: ast.expr | None = None


@dataclass(eq=False)
class Partial(Value):
    """`functools.partial(callee, ...)`."""

    callee: Value
    args: tuple[Value, ...]
    kwargs: dict[str, Value]


@dataclass(eq=False)
class Either(Value):
    """One of these, depending on the path taken."""

    options: tuple[Value, ...]


@dataclass(frozen=True)
class Place:
    """A piece of code."""

    module: Module
    node: ast.AST
    assuming: str | None = None  # what was taken to be so on the way there


@dataclass(eq=False)
class Made:
    """How a tensor came about, where that says what its values are.

    Attributes:
        kind: scores (out of a linear map or convolution), softmax, log_softmax, sigmoid, logsigmoid, complement (1 -
            sigmoid), product (of queries and keys), exp, logsumexp, sum, argmax, one_hot, difference, computed,
            negative (of something else than scores), divergence (the entries of kl_div), part (of a distribution).
        axis: the axis that it was made over. operand: what it was made from.
        shifted: a small number was added or a bound was set since, as before a logarithm.
        lowered: something was subtracted since: as a rule the largest, so that the exponentials do not overflow.
        below_all: what was subtracted is the largest of all entries, not that of each row.
        mixed: it is a mean of several such tensors.
        grouped: a sum over the entries of the same index. written_out: a logsumexp as log(exp(x).sum()), "plain" or
            "masked".
        cut_at: where a view put entries of several distributions into one row.
        shape: of a softmax, that of its result: what has it still was not turned since.
        uses: what happened to it later, by name: see `Use`.
    """

    kind: str
    place: Place
    operand: Tensor | None = None
    axis: Axis | None = None
    dim: int | None = None
    shifted: bool = False
    lowered: bool = False
    below_all: bool = False
    mixed: bool = False
    grouped: bool = False
    written_out: str | None = None
    cut_at: Place | None = None
    shape: Shape | None = None
    uses: list[Use] = field(default_factory=list)

    @property
    def is_distribution(self) -> bool:
        """Whether a softmax made it, or its logarithm."""
        return self.kind in ("softmax", "log_softmax")


@dataclass(frozen=True, eq=False)
class Use:
    """`summed`: the axis was summed against something; `kept`: it was not, in a product that sums another."""

    what: str
    axis: Axis | None
    place: Place


@dataclass(frozen=True, eq=False)
class Factor:
    """A distribution that was multiplied with something, before a sum over one of the axes.

    `alike`: it had one entry for each item, (..., 1), and as many axes as the items, so that a dim means the same in
    both.
    """

    made: Made
    axis: Axis | None
    alike: bool = False


@dataclass(frozen=True, eq=False)
class Pieces:
    """What was put side by side along an axis: how long each piece is, where that is known, and what it is."""

    axis: Axis
    parts: tuple[tuple[int | None, Made | None], ...]

    def between(self, start: int, stop: int | None) -> Made | None:
        """What the entries from `start` to `stop`, or to the end, are, where all of them are alike."""
        found: list[Made | None] = []
        at = 0
        for number, (size, made) in enumerate(self.parts):
            last = number == len(self.parts) - 1
            if size is None and not last:
                # what lies behind is not known; all of it is meant where a slice that begins here has no end
                found += [one for _, one in self.parts[number:]] if start == at and stop is None else [None]
                break
            end = at + size if size is not None else None
            if (end is None or start < end) and (stop is None or at < stop):
                found.append(made)
            if end is None or (stop is not None and end >= stop):
                break
            at = end
        kinds = {made.kind if made else None for made in found}
        return found[0] if len(kinds) == 1 else None


@dataclass(frozen=True, eq=False)
class Tensor(Value):
    """A tensor: its axes, and what its values are."""

    shape: Shape = field(default_factory=Shape)
    made: Made | None = None
    dtype: str | None = None
    pair: tuple[Axis, Axis] | None = None  # of a product of two: the axis of the first, of the second
    masked: tuple[float, Place] | None = None  # what stands where a mask was
    mask: Shape | None = None  # that of the mask
    masked_before: bool = False  # by another one, too
    factor: Factor | None = None
    filled: float | None = None  # what every entry is
    zero_or_one: bool = False  # what a comparison gave
    relation: Linear | Test | None = None  # to another value
    pieces: Pieces | None = None
    largest_of: object = None  # the origin of the tensor of which this is the largest entry
    origin: object = field(default_factory=object)  # stays the same where the values do

    def kind(self) -> str | None:
        return self.made.kind if self.made else None

    def with_shape(self, shape: Shape) -> Tensor:
        return self.but(shape=shape)

    def but(self, **changes: Any) -> Tensor:
        """What `dataclasses.replace` gives, without going through `__init__`: it is made tens of thousands of times."""
        new = object.__new__(Tensor)
        new.__dict__.update(self.__dict__, **changes)
        return new


def options(value: Value) -> tuple[Value, ...]:
    return value.options if isinstance(value, Either) else (value,)


def join(values: Iterable[Value]) -> Value:
    """One value that stands for all of these."""
    values = list(values)
    if values and all(value is values[0] for value in values):
        return values[0]
    flat: list[Value] = []
    for value in values:
        for one in options(value):
            for at, same in enumerate(flat):
                if not _same(one, same):
                    continue
                if isinstance(one, Unknown) and isinstance(same, Unknown) and same.relation:
                    # it holds on one path alone
                    flat[at] = same if one.relation is same.relation else Unknown()
                break
            else:
                flat.append(one)
    if len(flat) == 1:
        return flat[0]
    return Either(tuple(flat)) if 0 < len(flat) <= MOST_ALTERNATIVES else Unknown()


def _same(one: Value, other: Value) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Unknown) and isinstance(other, Unknown):
        return one.tensor is None and other.tensor is None
    if isinstance(one, Const) and isinstance(other, Const):
        return type(one.value) is type(other.value) and one.value == other.value
    if isinstance(one, External) and isinstance(other, External):
        return one.name == other.name
    if isinstance(one, Function) and isinstance(other, Function):
        return one.node is other.node and one.bound is other.bound
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return (
            one.made is other.made
            and one.pair == other.pair
            and one.masked == other.masked
            and one.filled == other.filled
            and one.zero_or_one == other.zero_or_one
            and one.relation is other.relation
            and one.shape.open == other.shape.open
            and one.shape.front == other.shape.front
            and one.shape.back == other.shape.back
        )
    if isinstance(one, Seq) and isinstance(other, Seq):
        return len(one.items) == len(other.items) and all(map(_same, one.items, other.items))
    return False
