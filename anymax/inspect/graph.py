"""check_model: what a traced model and its loss show about axes, scores and probabilities."""

from __future__ import annotations

import linecache
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from anymax._core.errors import CALLER, named_after_function
from anymax.inspect.exported.flow import Step, follow
from anymax.inspect.exported.rules import mistakes
from anymax.inspect.exported.rules.program import ATTENTION, LOSSES, NORMALISATIONS, Level, Mistake, module_of
from anymax.inspect.exported.trace import Trace, call_of, trace

_WIDTH = 100
_OUR_LOSSES = frozenset(
    {"cross_entropy", "binary_cross_entropy_with_logits", "linear_cross_entropy", "nce_loss", "sampled_softmax_loss"}
)


@dataclass(frozen=True)
class ModelFinding:
    """One mistake in a model.

    Attributes:
        code: such as `AMX102`, the same in all of anymax's checks.
        level: `"error"` where it follows from the graph, `"warning"` where it is likely, `"info"` where the code is
            right and another call is better.
        message: what was seen, what it leads to, and what to write.
        path, line, text: the user's line that makes the call; empty, 0 and empty where no file has it.
        module: the path of the module in the model, such as `layers.0.attention`; empty for the model itself.
        times: how often the same line shows the same mistake, as a layer that is used several times does.
    """

    code: str
    level: Level
    message: str
    path: str
    line: int
    text: str
    module: str
    times: int = 1

    def __str__(self) -> str:
        places = [f"{self.path}:{self.line}"] if self.path else []
        places += [self.module if self.module == "loss" else f"module {self.module}"] if self.module else []
        times = f" ({self.times} times)" if self.times > 1 else ""
        lines = [f"{', '.join(places) or 'the model'}: {self.level} {self.code}{times}"]
        lines += [f"    {self.text}"] if self.text else []
        return "\n".join([*lines, *textwrap.wrap(self.message, _WIDTH, initial_indent="  ", subsequent_indent="  ")])


@dataclass(frozen=True, repr=False)
class ModelReport:
    """What `check_model` found: true where there is a finding, `str()` is the text.

    Attributes:
        findings: in the order of the program.
        looked_at: how many softmaxes (log_softmax among them), fused attentions and losses the graph has.
        not_looked_at: sentences that say what no finding says nothing about.
    """

    model: str
    findings: tuple[ModelFinding, ...]
    looked_at: Mapping[str, int]
    not_looked_at: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __str__(self) -> str:
        count = len(self.findings)
        counts = ", ".join(f"{name} {number}" for name, number in self.looked_at.items())
        parts = [f"{self.model}: {count or 'no'} finding{'' if count == 1 else 's'}"]
        parts += [str(finding) for finding in self.findings]
        parts.append(f"Looked at: {counts}.")
        lines = ["Not looked at:"]
        for sentence in self.not_looked_at:
            lines += textwrap.wrap(sentence, _WIDTH, initial_indent="  * ", subsequent_indent="    ")
        return "\n\n".join([*parts, "\n".join(lines)])

    __repr__ = __str__


@named_after_function
def check_model(
    model: nn.Module,
    example_input: Any,
    *,
    loss: Callable[..., Any] | None = None,
    target: Any = None,
    batch_dim: int = 0,
) -> ModelReport:
    """Find axes and losses that cannot be meant in a model, from its graph.

    The model, and the loss behind it, are traced by `torch.export` with a batch of any size: an axis whose size
    contains the batch is known as such, a softmax is followed to the loss or the product that takes it, through views,
    casts, dropout and masks. Nothing is trained, no number is computed, and the model stays as it was.

    It finds a softmax over the batch, over one entry, over another axis of the attention than is summed, over one line
    of an image; losses that apply a softmax or a sigmoid once more, or are given what they do not take; logarithms of
    probabilities; masks that do not mask. It cannot find what is right in the graph and not meant: no finding is no
    proof. Branches that the example does not take are not in the graph.

    Args:
        model: in the mode that is meant, `train()` or `eval()`.
        example_input: a tensor, a tuple of arguments, or a dict of keyword arguments. Two samples or more, and sizes
            that differ from one another where the model allows it. Its values are not read.
        loss: called as `loss(output, target)`, or as `loss(output)` without a target; a module or a function.
        target: a tensor, or what else the loss takes.
        batch_dim: the axis of the samples in the first input. Other tensors of input and target that have its size
            there, or on one other axis alone, are taken to have the batch there.

    Returns:
        A `ModelReport`: `.findings`, and as text what was found, what was looked at and what was not. It is false
        where nothing was found.

    Raises:
        TypeError: no module. ValueError: no tensor, or a single sample. RuntimeError: the model cannot be exported; the
            message says why.

    Example:
        >>> class Classifier(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.linear = torch.nn.Linear(4, 3)
        ...     def forward(self, x):
        ...         return self.linear(x).softmax(dim=0)
        >>> loss, target = torch.nn.CrossEntropyLoss(), torch.tensor([0, 2])
        >>> found = anymax.check_model(Classifier(), torch.zeros(2, 4), loss=loss, target=target)
        >>> for finding in found.findings:
        ...     print(finding.code, finding.message.partition(":")[0])
        AMX102 softmax over dim 0 of f32[batch, 3] normalises over the batch
        AMX201 cross_entropy of probabilities
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{CALLER}: model must be a torch.nn.Module, got {type(model).__name__}")
    args, kwargs = _arguments(example_input)
    traced = trace(model, args, kwargs, loss, target, batch_dim)
    steps = follow(traced.program, traced.size)
    ours = [call.function for call in {step.call for step in steps} if call and call.ours]
    return ModelReport(
        model=type(model).__name__,
        findings=_findings(mistakes(steps, traced.batch)),
        looked_at={
            "softmax": _calls(steps, NORMALISATIONS),
            "fused attention": _calls(steps, {ATTENTION}),
            "loss": _calls(steps, LOSSES) + sum(function in _OUR_LOSSES for function in ours),
        },
        not_looked_at=_not_looked_at(traced, steps, loss),
    )


def _arguments(example_input: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_input, Tensor):
        return (example_input,), {}
    if isinstance(example_input, Mapping):
        return (), dict(example_input)
    if isinstance(example_input, (tuple, list)):
        return tuple(example_input), {}
    raise TypeError(
        f"{CALLER}: example_input must be a tensor, a tuple of arguments or a dict of keyword arguments, "
        f"got {type(example_input).__name__}"
    )


def _findings(found: Sequence[Mistake]) -> tuple[ModelFinding, ...]:
    """One finding for each line and message, however often its layer is used."""
    counted: dict[ModelFinding, int] = {}
    modules: dict[ModelFinding, str] = {}
    for mistake in found:
        call = call_of(mistake.node)
        path, line = (_relative(call.file), call.line) if call and call.file else ("", 0)
        finding = ModelFinding(
            code=mistake.code,
            level=mistake.level,
            message=mistake.message,
            path=path,
            line=line,
            text=linecache.getline(call.file, line).strip() if call and call.file else "",
            module="",
        )
        counted[finding] = counted.get(finding, 0) + 1
        modules.setdefault(finding, module_of(mistake.node))
    return tuple(
        ModelFinding(**{**vars(finding), "module": modules[finding], "times": times})
        for finding, times in counted.items()
    )


def _relative(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _calls(steps: Sequence[Step], ops: Collection[str]) -> int:
    return sum(step.op in ops for step in steps)


def _not_looked_at(traced: Trace, steps: Sequence[Step], loss: Any) -> tuple[str, ...]:
    sentences = [
        f"the model in another mode: it was traced in {' and '.join(traced.modes)} mode.",
        "branches that this example does not take, and sizes that it does not have: only the batch is of any size.",
        "values: targets out of range, rows that are masked as a whole, probabilities that do not sum to 1.",
    ]
    if loss is None:
        sentences.insert(0, "the loss: none was given.")
    foreign = sorted({step.node.target._schema.name for step in steps if _is_foreign(step)})  # type: ignore[union-attr]
    if foreign:
        sentences.append(f"inside ops that torch does not define: {', '.join(foreign)}.")
    if any("cond" in str(node.target) for node in traced.program.graph.nodes if node.op == "call_function"):
        sentences.append("how the branches of torch.cond go on.")
    return tuple(sentences)


def _is_foreign(step: Step) -> bool:
    return step.node.target.namespace not in ("aten", "prims", "prim", "_c10d_functional")  # type: ignore[union-attr]
