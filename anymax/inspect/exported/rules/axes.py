"""Which axis is normalised, chosen from, or summed: AMX101 to AMX109."""

from __future__ import annotations

from collections.abc import Iterator

from torch.fx import Node

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Level
from anymax.inspect.exported.axes import Axis, atoms
from anymax.inspect.exported.flow import Contraction, Step, What
from anymax.inspect.exported.rules.program import (
    ATTENTION,
    NLL,
    NORMALISATIONS,
    Mistake,
    Program,
    class_dim,
    dim_of,
    dims_of,
    in_loss,
    name_of,
    op_of,
    place_of,
)
from anymax.inspect.exported.trace import call_of
from anymax.inspect.written import Span, call_at, is_literal


def implicit_dim(program: Program) -> Iterator[Mistake]:
    for step, known, dim in program.normalised():
        if step.call is None or not step.call.without_dim:
            continue
        function = step.call.function
        if function == "gumbel_softmax" and len(known.axes) > 2:
            message = f"gumbel_softmax of {program.shown(known)} {mistakes.DRAWS_LAST}."
            yield Mistake("AMX108", "warning", step.node, message)
        elif function in ("softmax", "log_softmax", "softmin"):
            yield Mistake(
                "AMX101",
                "info" if len(known.axes) == 1 else "warning",
                step.node,
                f"{function} without dim took axis {dim} of {program.shown(known)}: {mistakes.implicit_dim(dim)}.",
            )


def softmax_over_batch(program: Program) -> Iterator[Mistake]:
    for step, known, dim in program.normalised():
        # where another axis has the batch too, samples are compared with samples on purpose
        if program.batch_dims(known.sizes) != [dim]:
            continue
        if len(known.axes) == 1:
            leads_to = "one score per sample competes with those of the others. That is a case for sigmoid."
        else:
            write = "dim=1" if len(known.axes) == 2 and dim == 0 else "the dim of what is chosen from, often dim=-1"
            leads_to = f"{mistakes.SAMPLES_COMPETE}. Write {write}."
        level: Level = "warning" if in_loss(step.node) else "error"
        yield Mistake("AMX102", level, step.node, f"{program.said(step)} normalises over the batch: {leads_to}")


def classes_from_batch(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        known = step.input
        if step.op != "cross_entropy_loss" or known is None:
            continue
        dim = class_dim(known)
        if program.batch_dims(known.sizes) == [dim]:
            yield Mistake(
                "AMX102",
                "warning",
                step.node,
                f"cross_entropy takes the classes from axis {dim} of {program.shown(known)}, which is the batch: "
                "samples compete. Its input is (batch, classes, ...). One score per sample is a case for "
                "binary_cross_entropy_with_logits.",
            )


def attention_over_batch(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        if step.op == ATTENTION and program.batch_dims(step.operands[1].sizes[-2:-1]):
            key = step.operands[1]
            write = "Write scaled_dot_product_attention with q, k and v of (batch, ..., length, features)."
            yield Mistake(
                "AMX102",
                "warning",
                step.node,
                f"attention over axis {len(key.axes) - 2} of keys {program.shown(key)}, which is the batch: each "
                f"sample attends to the others, and its result changes with them. {_batch_first(step) or write}",
            )
        for contraction in step.contractions:
            weights = contraction.operand
            batch = program.batch_dims(weights.sizes)
            if weights.what is None or weights.kind != "probs" or len(batch) < 2:
                continue
            if set(dims_of(weights, contraction.axes & weights.what.over)) & set(batch):
                yield Mistake(
                    "AMX102",
                    "warning",
                    step.node,
                    f"the weights {program.shown(weights)} of the softmax in {place_of(weights.what.node)} are summed "
                    "over the batch: each sample attends to the others, and its result changes with them. "
                    + (
                        _batch_first(step)
                        or "If that is not meant, give the batch an axis in front of queries and keys."
                    ),
                )


def _batch_first(step: Step) -> str:
    """What to write where torch's layer makes the attention."""
    if step.call is None or step.call.function != "multi_head_attention_forward":
        return ""
    return "Write batch_first=True when the layer is made, or give it (length, batch, features)."


def softmax_over_one(program: Program) -> Iterator[Mistake]:
    for step, known, dim in program.normalised():
        if known.sizes[dim] == 1:
            yield Mistake(
                "AMX103",
                _level_of_one(known.axes[dim]),
                step.node,
                f"{program.said(step)}: {mistakes.one_entry(step.op)}.",
            )


def one_class_or_key(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        known = step.input
        if step.op == "cross_entropy_loss" and known is not None and known.sizes[class_dim(known)] == 1:
            yield Mistake(
                "AMX103",
                _level_of_one(known.axes[class_dim(known)]),
                step.node,
                f"cross_entropy of {program.shown(known)} {mistakes.ONE_CLASS}.",
            )
        elif step.op == ATTENTION and step.operands[1].sizes[-2] == 1:
            key = step.operands[1]
            yield Mistake(
                "AMX103",
                "warning",
                step.node,
                f"attention over axis {len(key.axes) - 2} of keys {program.shown(key)}, which has size 1: every weight "
                "is 1, and the result is the one value. Give keys and values their length on that axis.",
            )


def _level_of_one(axis: Axis) -> Level:
    # any other axis may have size 1 in this example alone
    return "error" if axis.origin in ("weight", "unsqueezed") else "warning"


def not_the_summed_axis(program: Program) -> Iterator[Mistake]:
    """Weights of queries and keys that are summed over an axis along which they did not compete."""
    for step in program.steps:
        contractions = [*step.contractions, *_sum_of_weighted(step)]
        # another factor may be normalised over that axis, as in the product of two attentions
        if any(one.operand.what and one.operand.what.over & one.axes for one in contractions):
            continue
        for contraction in contractions:
            what = contraction.operand.what
            if what is None or not _is_attention(contraction, what):
                continue
            softmax = _softmax_of(program, what)
            if softmax is None or softmax.input is None:
                continue
            dims = dims_of(softmax.input, contraction.axes)
            # softmax_over_batch says what is wrong there
            if not dims or program.batch_dims(softmax.input.sizes) == [dim_of(softmax)]:
                continue
            last = dims[0] == len(softmax.input.axes) - 1
            yield Mistake(
                "AMX105",
                "error",
                softmax.node,
                f"{program.said(softmax)}, but {name_of(step)} in {place_of(step.node)} sums over its dim {dims[0]}: "
                f"{mistakes.queries_compete(f'dim={-1 if last else dims[0]}')}.",
            )


def _sum_of_weighted(step: Step) -> list[Contraction]:
    """`(weights * values).sum(dim)` as a product."""
    known = step.input
    if step.op != "sum" or known is None or known.kind != "weighted":
        return []
    dims = step.arguments.get("dim")
    return [Contraction(known, atoms(known.axes[dim] for dim in (range(len(known.axes)) if dims is None else dims)))]


def _is_attention(contraction: Contraction, what: What) -> bool:
    """Whether rows and columns of one product of activations are weights here, and one of the two is summed."""
    known = contraction.operand
    if what.kind not in ("probs", "weighted"):
        return False
    wide = atoms(axis for axis, size in zip(known.axes, known.sizes, strict=True) if size != 1)
    sides = {axis for axis in wide if axis.origin == "product"}
    return what.over <= wide and any(
        other is not summed and other.made_by is summed.made_by
        for summed in sides & contraction.axes
        for other in sides
    )


def _softmax_of(program: Program, what: What) -> Step | None:
    for step in program.steps:
        made = step.result.what if step.result else None
        if step.op in NORMALISATIONS and made is not None and made.over == what.over:
            return step
    return None


def line_of_image(program: Program) -> Iterator[Mistake]:
    for step, known, dim in program.normalised():
        space = [at for at, axis in enumerate(known.axes) if axis.origin == "space"]
        channels = [at for at, axis in enumerate(known.axes) if axis.origin == "weight"]
        if dim in space and len(space) > 1 and len(channels) == 1 and known.sizes[dim] != 1:
            message = f"{program.said(step)} {mistakes.pixels_compete(space, channels[0])}."
            yield Mistake("AMX106", "warning", step.node, message)


def argmax_elsewhere(program: Program) -> Iterator[Mistake]:
    competing = {step.sources[0]: known.axes[dim].atoms() for step, known, dim in program.normalised()}
    for step in program.steps:
        known = step.input
        if known is None or len(known.axes) < 2 or not _is_choice(step):
            continue
        batch = program.batch_dims(known.sizes) if step.op == "argmax" else []
        dim = step.arguments.get("dim")
        if dim is None:
            problem = f"{mistakes.FLAT_CHOICE}. Write {mistakes.CLASS_DIM}" if batch else ""
            called = f"argmax of {program.shown(known)}"
        else:
            dim %= len(known.axes)
            made = known.what.over if known.what and known.kind in ("probs", "log_probs") else frozenset()
            right = dims_of(known, made | competing.get(step.sources[0], frozenset()))
            problem = _other_choice(dim, batch, right)
            called = f"{step.op} over dim {dim} of {program.shown(known)}"
        if problem:
            yield Mistake("AMX107", "warning", step.node, f"{called} {problem}.")


def _is_choice(step: Step) -> bool:
    """argmax, or max where its indices are compared, or become one-hot rows: the largest value alone may be a score."""
    if step.op != "max" or "dim" not in step.arguments:
        return step.op == "argmax"
    indices = [user for user in step.node.users if getattr(user.target, "__name__", "") == "getitem" and user.args[1]]
    return any(_chooses(user) for index in indices for user in index.users)


def _chooses(node: Node) -> bool:
    call = call_of(node)
    return op_of(node) in ("eq", "ne", "scatter") or (call is not None and call.function == "one_hot")


def several_ranks(program: Program) -> Iterator[Mistake]:
    """A number for dim, counted from the front, that meets tensors of several ranks."""
    met: dict[tuple[str, Span, int], list[Step]] = {}
    for step, _, _ in program.normalised():
        call, dim = step.call, step.arguments["dim"]
        if call is not None and call.file and not call.without_dim and dim >= 0:
            met.setdefault((call.file, call.span, dim), []).append(step)
    for (file, span, dim), steps in met.items():
        by_rank = {len(step.input.axes): step for step in steps if step.input is not None}
        if len(by_rank) < 2 or not is_literal(call_at(file, span), "dim"):
            continue
        shapes = " and ".join(program.shown(step.input) for step in by_rank.values() if step.input is not None)
        yield Mistake(
            "AMX104",
            "warning" if dim == 0 and 1 in by_rank else "info",
            steps[-1].node,
            f"{name_of(steps[-1])} with dim={dim} meets tensors of different ranks, {shapes}: a number that is right "
            f"for one may be wrong for another. {mistakes.TWO_RANKS}.",
        )


def _other_choice(dim: int, batch: list[int], right: list[int]) -> str:
    if batch == [dim]:
        write = f"dim={right[0]}" if right and right[0] != dim else mistakes.CLASS_DIM
        return f"{mistakes.CHOICE_OF_SAMPLES}. Write {write}"
    if right and dim not in right:
        return mistakes.other_choice("the softmax of the same scores", f"dim={right[0]}")
    return ""


def classes_last(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        known = step.input
        if known is None or len(known.axes) < 3 or not _reads_axis_1(step):
            continue
        if known.axes[-1].origin == "weight" and known.axes[1].origin in ("input", "product", "space"):
            yield Mistake(
                "AMX109",
                "error" if known.axes[1].origin == "input" else "warning",
                step.node,
                f"{name_of(step)} of {program.shown(known)} takes the classes from axis 1, but the scores of the last "
                f"layer are on axis {len(known.axes) - 1}: {mistakes.CLASSES_LAST}.",
            )


def _reads_axis_1(step: Step) -> bool:
    if step.op in NLL or step.op == "cross_entropy_loss":
        return True
    ours = step.call is not None and step.call.ours and step.call.function == "cross_entropy"
    return ours and step.op in NORMALISATIONS and step.call.without_dim  # type: ignore[union-attr]
