"""probe: does the answer to one sample depend on another of the batch?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anymax._core.errors import CALLER, named_after_function
from anymax.inspect.check.findings import Finding, more
from anymax.inspect.running.batches import Batch, differ, largest, named_tensors, rounding
from anymax.inspect.running.mixing import Mixing, first_mixing
from anymax.inspect.running.rerunning import Rerun

__all__ = ["Mix", "Probe", "probe"]

# with more samples than this, so many are changed in turn, evenly spread
MOST_CHANGED = 8


@dataclass(frozen=True)
class Mix:
    """One sample's answer moved when another sample was changed."""

    output: str
    sample: int
    changed: int
    difference: float


@dataclass(frozen=True, repr=False)
class Probe:
    """What `probe` found; `str()` is the report.

    Attributes:
        mixes: whether an output of one sample depends on another.
        mixed: for each output that does, the sample that moved most when the first that moves others was changed.
        module: the name of the module in which samples first mix, "" for the model itself; None if none do.
        findings: one per cause, with the code AMX102: of level "warning", and "info" for BatchNorm in training mode.
        compared: the outputs that were compared. not_compared: those that were not, and why.
        changed: the samples that are changed in turn, until others move.
    """

    mixes: bool
    mixed: tuple[Mix, ...]
    module: str | None
    findings: tuple[Finding, ...]
    compared: tuple[str, ...]
    not_compared: dict[str, str]
    changed: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


@named_after_function
def probe(model: Callable[..., Any], batch: Any, *, batch_dim: int = 0) -> Probe:
    """Find out whether the answer to one sample depends on the other samples of the batch.

    One sample after another is replaced by its neighbour (by noise where the two are equal), the model runs again, and
    the answers to all other samples have to stay. That finds a softmax over the batch, a reshape that tears samples
    apart, statistics over the batch, attention over samples; and the module and the line in which they first mix. It
    needs no gradients, so a model that ends in a softmax is fine. It cannot see what moves no answer of this batch, in
    this mode (`model.eval()` or not): with more than eight samples only eight are changed.

    Every pass runs under the same random state, so dropout draws the same. A change counts if it is larger than eight
    units in the last place of the output's largest entry, and than ten times what two passes over the same batch
    differ by: a kernel that runs on the same shapes gives a row the same bits whatever stands in the others, and an
    accelerator's atomic additions show up in those two passes. Random state, buffers (such as running statistics),
    the training flag and the mode of gradients are afterwards as before; what a model keeps in other attributes is not
    known.

    Args:
        model: a module, or any function of tensors.
        batch: a tensor; a tuple of positional arguments; or a dict of keyword arguments. Tensors in it whose size along
            `batch_dim` is that of the first are taken apart into samples, all others are left as they are.
        batch_dim: the axis of the samples, in the batch and in the outputs.

    Returns:
        A `Probe`: `mixes`, `findings`, `module`; `str()` is the report.

    Raises:
        ValueError: a batch of fewer than two samples, or one whose samples cannot be told apart; no output with a batch
            axis, or one of NaN and infinities alone; a model that answers differently when it is asked twice.
        TypeError: a wrong type.

    Example:
        >>> class Wrong(torch.nn.Module):
        ...     def forward(self, scores):
        ...         return scores.softmax(dim=0)
        >>> batch = torch.arange(6.).sin().reshape(2, 3)
        >>> anymax.probe(Wrong(), batch).mixes, anymax.probe(torch.nn.Softmax(dim=1), batch).mixes
        (True, False)

    The check by gradients, of which this takes the place, is in lightning-bolts: `BatchGradientVerification`.
    """
    if not callable(model):
        raise TypeError(f"{CALLER}: model must be a module or a function, got {type(model).__name__}")
    if isinstance(batch_dim, bool) or not isinstance(batch_dim, int):
        raise TypeError(f"{CALLER}: batch_dim must be an int, got {batch_dim!r} of type {type(batch_dim).__name__}")
    samples = Batch.of(batch, batch_dim)
    with Rerun(model, samples) as run:
        found = _moved(run, samples)
        causes = _causes(run, samples, found.mixed[0]) if found.mixed else []
    return _report(model, samples, found, causes)


# what moves


@dataclass(frozen=True)
class _Moved:
    mixed: tuple[Mix, ...]
    compared: tuple[str, ...]
    not_compared: dict[str, str]
    without_numbers: dict[str, list[int]]  # by output, the samples whose answers cannot be seen to move
    changed: tuple[int, ...]


def _moved(run: Rerun, samples: Batch) -> _Moved:
    """Every output of every sample, with and without a change of another sample."""
    outputs, again = dict(named_tensors(run(), "output")), dict(named_tensors(run(), "output"))
    compared = [name for name, tensor in outputs.items() if samples.has_axis(tensor)]
    if not compared:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in outputs.items()) or "no tensor"
        raise ValueError(
            f"{CALLER}: no output has a batch axis, of size {samples.count} along axis {samples.dim}: got {shapes}; "
            "give a model that returns an answer per sample, not a loss"
        )
    without_numbers = {name: samples.without_numbers(outputs[name]) for name in compared}
    for name, some in without_numbers.items():
        if len(some) == samples.count:
            raise ValueError(
                f"{CALLER}: {name} has no finite entry, so that nothing can be seen to move; give a batch of which the "
                "model makes numbers"
            )
    noise = {name: differ(outputs[name], again[name]) for name in compared}
    tolerance = {name: max(rounding(outputs[name]), 10 * noise[name]) for name in compared}
    for name in compared:
        if noise[name] > 0.01 * max(largest(outputs[name]), 1e-30):
            raise ValueError(
                f"{CALLER}: two passes over the same batch, under the same random state, differ by {noise[name]:.3g} "
                f"in {name}, so nothing can be said of samples; the model keeps a state of its own, or a generator"
            )
    changed = samples.changed(MOST_CHANGED)
    mixed = []
    for sample in changed:
        moved = dict(named_tensors(run(samples.replaced(sample)), "output"))
        for name in compared:
            mix = _largest_move(samples, name, sample, outputs[name], moved.get(name))
            if mix.difference > tolerance[name]:
                mixed.append(mix)
        if mixed:
            # one change that moves others says enough
            break
    left_out = {name: f"shape {tuple(tensor.shape)}" for name, tensor in outputs.items() if name not in compared}
    return _Moved(tuple(mixed), tuple(compared), left_out, without_numbers, tuple(changed))


def _largest_move(samples: Batch, name: str, changed: int, before: Tensor, after: Tensor | None) -> Mix:
    """The other sample whose answer moved most."""
    if after is None or after.shape != before.shape:
        # another number of boxes, say: then one sample decides on the shape of all
        return Mix(name, (changed + 1) % samples.count, changed, float("inf"))
    others = [other for other in range(samples.count) if other != changed]
    moves = {other: differ(samples.row(before, other), samples.row(after, other)) for other in others}
    most = max(moves, key=lambda other: moves[other])
    return Mix(name, most, changed, moves[most])


# why


def _causes(run: Rerun, samples: Batch, mix: Mix) -> list[Mixing]:
    """Where samples first mix; behind BatchNorm in training mode, which does so by design, what mixes without it."""
    first = first_mixing(run, samples, mix.changed, mix.sample)
    if not (first.is_batch_norm and isinstance(run.model, nn.Module)):
        return [first]
    with _frozen(run.model):
        rest = _moved(run, samples).mixed
        return [first, first_mixing(run, samples, rest[0].changed, rest[0].sample)] if rest else [first]


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Let every BatchNorm use the statistics that it has."""
    norms = [(module, module.training) for module in model.modules() if isinstance(module, _BatchNorm)]
    for module, _ in norms:
        module.training = False
    try:
        yield
    finally:
        for module, training in norms:
            module.training = training


# the report


def _report(model: Callable[..., Any], samples: Batch, found: _Moved, causes: list[Mixing]) -> Probe:
    findings = tuple([_finding(model, found.mixed[0], cause) for cause in causes])
    lines = [_summary(samples, found), *map(str, findings), *more(findings)]
    lines += ["", f"Compared: {', '.join(found.compared)}."]
    lines += [f"Not compared, since it has no batch axis: {name}, {why}." for name, why in found.not_compared.items()]
    lines += [
        f"Without a finite entry, so that nothing is seen of them: samples {some} of {name}."
        for name, some in found.without_numbers.items()
        if some
    ]
    if len(found.changed) < samples.count:
        lines.append(f"Only {len(found.changed)} of {samples.count} samples were changed: {list(found.changed)}.")
    if not found.mixed:
        mode = "in training mode" if getattr(model, "training", False) else "in this mode"
        lines.append(f"Seen for this batch, {mode}; another batch or mode may take another way through the model.")
    return Probe(
        mixes=bool(found.mixed),
        mixed=found.mixed,
        module=causes[0].module if causes else None,
        findings=findings,
        compared=found.compared,
        not_compared=found.not_compared,
        changed=found.changed,
        text="\n".join(lines),
    )


def _summary(samples: Batch, found: _Moved) -> str:
    if not found.mixed:
        return f"no answer to one of {samples.count} samples moved when another was changed"
    most = max(found.mixed, key=lambda mix: mix.difference)
    return (
        f"samples mix: {most.output} of sample {most.sample} moved by {most.difference:.3g} when sample "
        f"{most.changed} was changed"
    )


def _finding(model: Callable[..., Any], mix: Mix, cause: Mixing) -> Finding:
    where = f"{cause.module} ({cause.kind})" if cause.module else f"the model itself ({cause.kind})"
    if cause.is_batch_norm:
        level = "info"
        message = (
            f"samples mix in {where}, in training mode: BatchNorm takes mean and variance over the batch, by design. "
            "Probe model.eval() for what it does when it predicts. Write GroupNorm or LayerNorm where samples must "
            "stay apart."
        )
    else:
        level = "warning"
        call = f", in {cause.function}" if cause.function else ""
        message = (
            f"samples first mix in {where}{call}: the answer to sample {mix.sample} moves when sample {mix.changed} "
            f"changes, so a prediction depends on what else is in the batch. {_advice(cause.function)}."
        )
    place = cause.place
    span = (place.line, place.column, place.end_line, place.end_column)
    return Finding(place.path, None, *span, code="AMX102", level=level, message=message)


def _advice(function: str | None) -> str:
    if function is not None and "softm" in function:
        return "Normalise over an axis within a sample: dim=1, or dim=-1"
    if function in ("view", "reshape", "flatten", "unflatten"):
        return "A reshape that moves entries between samples has to be a permute or a transpose"
    return "Look at which axis that call takes"
