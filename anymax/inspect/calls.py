"""A call, as text, that explain reads: `softmax(x: 2,8,128,128, dim=1)`. It is parsed and never evaluated."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anymax._core.errors import CALLER
from anymax._core.sentences import quoted, shown

LONGEST_CALL = 1000  # characters
EXAMPLE = '"softmax(x: 2,8,128,128, dim=1)"'

# the positional arguments behind the tensors, in order
_POSITIONAL = {
    "softmax": ("dim",),
    "softmin": ("dim",),
    "log_softmax": ("dim",),
    "gumbel_softmax": ("tau", "hard", "eps", "dim"),
    "argmax": ("dim", "keepdim"),
    "cross_entropy": ("weight",),
}
WITH_TEMPERATURE = ("softmax", "softmin", "log_softmax")
# what changes numbers or types, but not which entries compete
_PASSED_OVER = {
    "softmax": ("dtype",),
    "softmin": ("dtype",),
    "log_softmax": ("dtype",),
    "gumbel_softmax": ("tau", "hard", "eps"),
    "argmax": ("keepdim",),
    "cross_entropy": ("weight", "reduction", "ignore_index", "label_smoothing"),
}
_TENSORS = {"cross_entropy": ("input", "target")}
_IN_F = ("softmax", "softmin", "log_softmax", "gumbel_softmax", "cross_entropy")
# by the last part of a module's name, which of them it has
_FUNCTIONS_OF = {"F": _IN_F, "functional": _IN_F, "anymax": _IN_F, "torch": ("softmax", "log_softmax", "argmax")}

# a name, a colon, and sizes with commas between them, in brackets or not
_DECLARED = re.compile(
    r"(?<![\w.])([^\W\d]\w*)\s*:\s*(?:\(([-\d,\s]*)\)|\[([-\d,\s]*)\]|(-?\d+(?:\s*,\s*-?\d+)*)(?![\w.])(?:\s*,(?=\s*\)))?)"
)


@dataclass(frozen=True)
class Call:
    """A call whose meaning is known.

    Attributes:
        function: softmax, softmin, log_softmax, gumbel_softmax, argmax or cross_entropy.
        written: as it was called, such as F.softmax.
        tensors: their names, that of the scores first.
        dim: a literal; None where there is none.
        target: the shape of the target of cross_entropy.
    """

    function: str
    written: str
    tensors: tuple[str, ...]
    shape: tuple[int, ...]
    dim: Any
    temperature: float = 1.0
    target: tuple[int, ...] | None = None

    @property
    def is_torch(self) -> bool:
        """Whether it is torch's function and not ours of the same name: by its module, or since we have none."""
        return self.function == "argmax" or ("." in self.written and not self.written.startswith("anymax."))

    def class_axes(self) -> list[int]:
        """The axes that may hold the classes, for a target of class ids of this shape."""
        return [axis for axis in range(len(self.shape)) if self.target == self.shape[:axis] + self.shape[axis + 1 :]]


def parse(text: str) -> Call:
    """The call in the text. ValueError, in one sentence, for what is not understood."""
    if len(text) > LONGEST_CALL:
        raise ValueError(f"{CALLER}: a call has {LONGEST_CALL} characters at most, got {len(text)}")
    shapes: dict[str, tuple[int, ...]] = {}
    bare = _DECLARED.sub(lambda found: _declare(found, shapes), text)
    node, rest = _call_and_rest(bare, text)
    if rest and not set(rest.replace(",", " ").split()) <= set(shapes):
        raise _refused(text, f"{quoted(rest)} behind the call is not the shape of a tensor, such as x: 2,3")
    written = _dotted(node.func, text)
    function = _known(written, text)
    return _read(text, node, written, function, shapes)


def _declare(found: re.Match[str], shapes: dict[str, tuple[int, ...]]) -> str:
    """Note the shape of a tensor; what stays in the text is its name."""
    name, sizes = found[1], next(group for group in found.groups()[1:] if group is not None)
    spaces = re.findall(r",(\s*)", sizes.strip().removesuffix(","))
    if found[4] is not None and spaces and bool(spaces[-1]) != bool(spaces[0]):
        before, _, last = sizes.rpartition(",")
        last = last.strip()
        raise ValueError(
            f"{CALLER}: it is not clear whether the {last} in '{name}: {sizes}' is a size or a dim: "
            f"write '{name}: ({before}), {last}' or 'dim={last}'"
        )
    try:
        shape = tuple(int(size) for size in sizes.strip().removesuffix(",").split(",") if sizes.strip())
    except ValueError:  # more digits than Python reads, or none between two commas
        raise ValueError(f"{CALLER}: '{name}: {shown(sizes)}' is not a shape, such as {name}: 2,3") from None
    if shapes.setdefault(name, shape) != shape:
        raise ValueError(f"{CALLER}: the tensor '{name}' has two shapes, {shapes[name]} and {shape}")
    return name


def _call_and_rest(bare: str, text: str) -> tuple[ast.Call, str]:
    """The call, and what stands behind its last bracket."""
    code, bracket, rest = bare.rpartition(")")
    try:
        node = ast.parse((code + bracket).strip(), mode="eval").body
    # a text may nest deeper than the parser goes
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(text, "that is not one call") from None
    if not isinstance(node, ast.Call):
        raise _refused(text, "that is not one call")
    return node, rest.strip()


def _dotted(node: ast.expr, text: str) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        return ".".join([node.id, *reversed(parts)])
    raise _refused(text, "a function is called by its name, such as softmax or F.softmax")


def _known(written: str, text: str) -> str:
    """The function of this name; where the module says whose it is, that module has it."""
    prefix, _, function = written.rpartition(".")
    if function not in _POSITIONAL:
        raise _refused(text, f"{quoted(written)} is not known here, only {', '.join(_POSITIONAL)}")
    if not prefix:
        return function
    module = prefix.rpartition(".")[2]
    if module not in _FUNCTIONS_OF:
        raise _refused(text, f"a tensor stands inside the brackets, as in {function}({prefix}: 2,3, dim=1)")
    if function not in _FUNCTIONS_OF[module]:
        raise _refused(text, f"{prefix} has no {function}")
    return function


def _read(text: str, node: ast.Call, written: str, function: str, shapes: Mapping[str, tuple[int, ...]]) -> Call:
    wanted = _TENSORS.get(function, ("input",))
    positional = (*wanted, *_POSITIONAL[function])
    if len(node.args) > len(positional):
        raise _refused(text, f"{function} takes {len(positional)} positional arguments at most")
    arguments = dict(zip(positional, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise _refused(text, "an argument is given twice, or by **")
        arguments[keyword.arg] = keyword.value
    tensors = [_tensor(text, name, arguments.pop(name, None), shapes) for name in wanted]
    temperature = 1.0
    if function in WITH_TEMPERATURE and "temperature" in arguments:
        temperature = _temperature(text, arguments.pop("temperature"))
    dim = _literal(text, "dim", arguments.pop("dim")) if "dim" in arguments else None
    for name in _PASSED_OVER[function]:
        arguments.pop(name, None)
    if arguments:
        raise _refused(text, f"the argument {quoted(next(iter(arguments)))} is not explained, so leave it out")
    names = tuple(name for name, _ in tensors)
    target = tensors[1][1] if len(tensors) > 1 else None
    call = Call(function, written, names, tensors[0][1], dim, temperature, target)
    _check_torch(text, call)
    return call


def _tensor(
    text: str, role: str, node: ast.expr | None, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[str, tuple[int, ...]]:
    if not isinstance(node, ast.Name):
        raise _refused(
            text, f"{'the scores are' if role == 'input' else 'the target is'} a name and its shape, as in x: 2,3"
        )
    if node.id not in shapes:
        raise _refused(
            text, f"the shape of '{node.id}' is missing: write {node.id}: 2,3 in its place or behind the call"
        )
    return node.id, shapes[node.id]


def _literal(text: str, name: str, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _refused(text, f"{name} must be a literal, such as {name}=1") from None


def _temperature(text: str, node: ast.expr) -> float:
    value = _literal(text, "temperature", node)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise _refused(text, "temperature must be a positive number")
    return float(value)


def _check_torch(text: str, call: Call) -> None:
    """What torch refuses."""
    if not call.is_torch:
        return
    function, dim = call.function, call.dim
    if function == "cross_entropy" and dim is not None:
        raise _refused(
            text, "torch's cross_entropy has no dim and reads classes from axis 1; anymax.cross_entropy has one"
        )
    if call.temperature != 1:
        raise _refused(text, f"torch's {function} has no temperature; anymax.{function} has one")
    if isinstance(dim, tuple | list | str):
        ours = "" if function == "argmax" else f"; anymax.{function} takes several, or a pattern"
        raise _refused(text, f"torch's {function} takes one int as dim{ours}")
    if call.written == f"torch.{function}" and function != "argmax" and dim is None:
        raise _refused(text, f"torch.{function} requires dim; F.{function} is the one with a default")


def _refused(text: str, why: str) -> ValueError:
    return ValueError(f"{CALLER}: {why}; a call such as {EXAMPLE} is read, got {quoted(text, 100)}")
