"""From a model to a report: trace, follow, ask the rules, say what was looked at."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from anymax.inspect.exported.flow import Step, follow
from anymax.inspect.exported.rules import mistakes
from anymax.inspect.exported.rules.program import ATTENTION, LOSSES, NORMALISATIONS, Mistake, module_of
from anymax.inspect.exported.trace import Trace, call_of, trace
from anymax.inspect.model_report import ModelFinding, ModelReport

_OUR_LOSSES = frozenset(
    {
        "cross_entropy",
        "binary_cross_entropy_with_logits",
        "linear_cross_entropy",
        "nce_loss",
        "negative_sampling_loss",
        "sampled_softmax_loss",
        "info_nce",
    }
)


def look(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    loss: Callable[..., Any] | None,
    target: Any,
    batch_dim: int,
) -> ModelReport:
    """See `check_model`."""
    traced = trace(model, args, kwargs, loss, target, batch_dim)
    steps = follow(traced)
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


def _findings(found: Sequence[Mistake]) -> tuple[ModelFinding, ...]:
    """One finding for each line and message, however often its layer is used."""
    counted: dict[ModelFinding, int] = {}
    modules: dict[ModelFinding, str] = {}
    for mistake in found:
        call = call_of(mistake.node)
        path, line = (_relative(call.file), call.line) if call and call.file else ("", 0)
        text = linecache.getline(call.file, line).strip() if call and call.file else ""
        where = (path, None, line, 1, line, 1)
        finding = ModelFinding(*where, code=mistake.code, level=mistake.level, message=mistake.message, text=text)
        counted[finding] = counted.get(finding, 0) + 1
        modules.setdefault(finding, module_of(mistake.node))
    return tuple(replace(finding, module=modules[finding], times=times) for finding, times in counted.items())


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
    if traced.stands_in:
        sentences.append(
            f"a batch of any size: the model's own code fixes it, as len(x) or a loop over samples does. It was traced "
            f"with {traced.size} samples, and sizes that {traced.size} divides are taken for the batch."
        )
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
