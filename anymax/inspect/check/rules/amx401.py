"""## What it does
Finds names that torch or Lightning does not have: `F.nce_loss`, `nn.NCELoss`,
`from pytorch_lightning.plugins import GumbelSoftmax`.

## Why is this bad
The line fails with an ImportError or an AttributeError, at the latest when it is reached. Where a page or a model has
invented the name, its arguments are often wrong too: a loss that takes the logits of all classes has nothing left to
save by drawing a few.

## Example
```python
loss = F.nce_loss(logits, noise_dist, noise_embedding)
```

## Use instead
```python
loss = anymax.nce_loss(features, linear.weight, target, anymax.noise.Unigram(class_counts), linear_bias=linear.bias)
```

## How sure it is
An error where the name is one of losses and maps that no release of torch or Lightning ever had. A warning for any
other name that the releases named in the message do not have: an older or a newer one may. Nothing is said of names
that the file itself looks for or sets, of the modules that other packages register for their devices, of imports
inside `try` or behind a test of the version, of names that begin with an underscore, and of modules that the table
does not hold.

## References
What public pages write in place of a noise-contrastive loss and a Gumbel-softmax module: docs/what-tutorials-say.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from anymax.inspect.check import library
from anymax.inspect.check.findings import Finding, Level
from anymax.inspect.check.rules import Rule
from anymax.inspect.check.seen import Seen

LIBRARIES = ("torch", "lightning", "pytorch_lightning")

_NCE = "anymax.nce_loss(features, linear.weight, target, anymax.noise.Unigram(class_counts), linear_bias=linear.bias)"
_NCE_MODULE = "anymax.nn.NCELoss(anymax.noise.Unigram(class_counts))(features, linear.weight, target, linear.bias)"
_SAMPLED = (
    "anymax.sampled_softmax_loss(features, linear.weight, target, anymax.noise.Unigram(class_counts), "
    "linear_bias=linear.bias)"
)
_GUMBEL = (
    "torch.nn.functional.gumbel_softmax(logits, tau=tau, dim=-1), or the module anymax.nn.GumbelSoftmax(tau, dim=-1)"
)
_CROSS_ENTROPY = "torch.nn.functional.cross_entropy(logits, target), which takes scores without a softmax"
_BINARY = "torch.nn.functional.binary_cross_entropy_with_logits(logits, target)"

# What people write for things of our field, letters alone, and the call that there is.
INSTEAD = {
    "nceloss": _NCE,
    "noisecontrastiveestimation": _NCE,
    "noisecontrastiveestimationloss": _NCE,
    "noisecontrastiveloss": _NCE,
    "negativesamplingloss": _NCE,
    "sampledsoftmax": _SAMPLED,
    "sampledsoftmaxloss": _SAMPLED,
    "gumbelsoftmax": _GUMBEL,
    "categoricalcrossentropy": _CROSS_ENTROPY,
    "sparsecategoricalcrossentropy": _CROSS_ENTROPY,
    "softmaxcrossentropy": _CROSS_ENTROPY,
    "softmaxcrossentropyloss": _CROSS_ENTROPY,
    "softmaxcrossentropywithlogits": _CROSS_ENTROPY,
    "crossentropywithlogits": _CROSS_ENTROPY,
    "binarycrossentropywithlogitsloss": _BINARY,
    "bcelosswithlogits": _BINARY,
    "bcewithlogits": _BINARY,
    "sigmoidcrossentropywithlogits": _BINARY,
    "binarycrossentropyloss": _BINARY,
    "maskedsoftmax": "anymax.softmax(scores, dim=-1, mask=mask)",
    "entropy": "anymax.entropy(scores, dim=-1), or torch.distributions.Categorical(logits=scores).entropy()",
}
# functions that take the name of an attribute, and context managers for an error
_BY_NAME = ("hasattr", "getattr", "setattr", "delattr", "patch", "object")
_FOR_ERRORS = ("raises", "assertRaises", "assertRaisesRegex", "suppress")
_MODULES = {"NCELoss": _NCE_MODULE, "NCE_Loss": _NCE_MODULE}

# Devices whose packages add a module of their name to torch when they are imported (torch.utils.backend_registration)
DEVICES = frozenset(
    ("corex", "dml", "gcu", "hpu", "ipu", "maca", "mlu", "musa", "neuron", "npu", "ort", "sdaa", "spyre", "supa", "tpu")
)


def check(seen: Seen) -> Iterator[Finding]:
    """Look up every name that is asked of a module of the libraries."""
    # most files of most projects, and a search takes a hundredth of the time of a walk
    if not any(library in seen.source.text for library in LIBRARIES) or not _has_candidates(seen):
        return
    careful = _Careful(seen.source.tree)
    unread = set(_unread(seen.source.tree))
    for each in seen.names.imports:
        module, _, name = each.qualified.rpartition(".")
        if not careful.about(each.node, name) and (said := _missing(module, name)):
            yield RULE.finding(seen.source, each.node, said[0], level=said[1])
    for node in ast.walk(seen.source.tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load) or node in unread:
            continue
        module = seen.names.qualified(node.value)
        if module and not careful.about(node, node.attr) and (said := _missing(module, node.attr)):
            yield RULE.finding(seen.source, node, said[0], level=said[1])


def _unread(tree: ast.Module) -> Iterator[ast.AST]:
    """The parts of annotations at which Python does not look: all in a file that postpones them, and those of the
    variables of a function."""
    postponed = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" and node.names[0].name == "annotations"
        for node in tree.body
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = (
                one for one in ast.walk(node) if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            )
            for one in inner:
                yield from ast.walk(one.annotation)
        if postponed:
            for name in ("annotation", "returns"):
                if isinstance(annotation := getattr(node, name, None), ast.AST):
                    yield from ast.walk(annotation)


def _has_candidates(seen: Seen) -> bool:
    """Whether something that is spelled like a name of the libraries is missing, wherever in the text it stands."""
    ours = [each for each in seen.names.imports if each.qualified.partition(".")[0] in LIBRARIES]
    asked = {each.qualified for each in ours}
    means = {each.bound: each.means for each in ours if each.bound != "*"}
    for first, meant in means.items():
        # a pattern that begins with letters is found much faster than one that begins with a condition
        for rest in set(re.findall(rf"{first}(?<=(?<![\w.]){first})((?:\.\w+)+)", seen.source.text)):
            parts = rest.split(".")[1:]
            asked.update(".".join([meant, *parts[:length]]) for length in range(1, len(parts) + 1))
    return any(_missing(*name.rpartition(".")[::2]) for name in asked)


def _missing(module: str, name: str) -> tuple[str, Level] | None:
    """The message and its level, where this module is known and has no such name."""
    names = library.names_of(module)
    if names is None or name.startswith("_") or name == "*" or name in names:
        return None
    if module == "torch" and name in DEVICES:
        return None
    absent = f"{library.version_of(module)} has no `{module}.{name}`: this line fails when it is reached."
    letters = _letters(name)
    if same := sorted(each for each in names if _letters(each) == letters):
        return f"{absent} The name is written `{same[0]}`: write {module}.{same[0]}.", "warning"
    instead = _MODULES.get(name) or INSTEAD.get(letters)
    if instead:
        return f"{absent} Write {instead}.", "error"
    return absent, "warning"


def _letters(name: str) -> str:
    return name.replace("_", "").lower()


class _Careful:
    """Where a file expects that a name may be missing: it asks for it, sets it, or is ready for the error."""

    def __init__(self, tree: ast.Module) -> None:
        self._names: set[str] = set()
        self._lines: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                self._names.add(node.attr)
            elif isinstance(node, ast.Call) and _last(node.func) in _BY_NAME:
                words = (each.value for each in node.args if isinstance(each, ast.Constant))
                self._names.update(word.rpartition(".")[2] for word in words if isinstance(word, str))
            elif isinstance(node, ast.stmt | ast.expr) and _is_ready(node):
                self._lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))

    def about(self, node: ast.expr | ast.alias, name: str) -> bool:
        return name in self._names or node.lineno in self._lines


def _is_ready(node: ast.stmt | ast.expr) -> bool:
    return isinstance(node, ast.Try) or _tests_the_version(node) or _expects_an_error(node)


def _tests_the_version(node: ast.stmt | ast.expr) -> bool:
    if not isinstance(node, ast.If | ast.IfExp):
        return False
    words = (_last(each) for each in ast.walk(node.test) if isinstance(each, ast.Name | ast.Attribute))
    return any("version" in word.lower() or word in _BY_NAME for word in words)


def _expects_an_error(node: ast.stmt | ast.expr) -> bool:
    return isinstance(node, ast.With) and any(
        isinstance(item.context_expr, ast.Call) and _last(item.context_expr.func) in _FOR_ERRORS for item in node.items
    )


def _last(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


RULE = Rule("AMX401", "name-that-is-not-there", "error", __doc__, check, of_names=True)
