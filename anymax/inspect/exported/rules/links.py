"""What losses and samplers are given, scores or probabilities: AMX201 to AMX208."""

from __future__ import annotations

from collections.abc import Iterator

from torch.fx import Node

from anymax.inspect import mistakes
from anymax.inspect.check.findings import Level
from anymax.inspect.exported.axes import atoms
from anymax.inspect.exported.flow import Known, Step, What
from anymax.inspect.exported.rules.program import (
    NLL,
    NORMALISATIONS,
    Mistake,
    Program,
    behind,
    class_dim,
    dim_of,
    name_of,
    place_of,
)
from anymax.inspect.exported.trace import call_of

# what takes the values, what they are: code, level, message
_TWICE: dict[tuple[str, str], tuple[str, Level, str]] = {
    ("cross_entropy", "probs"): (
        "AMX201",
        "error",
        f"cross_entropy of probabilities: the softmax in {{place}} {mistakes.softmax_twice_in_loss()}.",
    ),
    ("cross_entropy", "sigmoid"): (
        "AMX201",
        "error",
        f"cross_entropy of a sigmoid: that in {{place}} {mistakes.softmax_twice_in_loss()}. If each class is a "
        "question of its own, write binary_cross_entropy_with_logits.",
    ),
    ("cross_entropy", "log_probs"): (
        "AMX201",
        "warning",
        f"cross_entropy of log-probabilities: the log_softmax in {{place}} {mistakes.LOG_SOFTMAX_TWICE}.",
    ),
    ("binary_cross_entropy_with_logits", "sigmoid"): (
        "AMX202",
        "error",
        "binary_cross_entropy_with_logits of a sigmoid: that in {place} "
        f"{mistakes.sigmoid_twice_in_loss('sigmoid')}.",
    ),
    ("binary_cross_entropy_with_logits", "probs"): (
        "AMX202",
        "error",
        "binary_cross_entropy_with_logits of a softmax: that in {place} "
        f"{mistakes.sigmoid_twice_in_loss('softmax')}.",
    ),
    ("gumbel_softmax", "probs"): (
        "AMX206",
        "error",
        f"gumbel_softmax of probabilities, those of the softmax in {{place}}: {mistakes.DRAWS_UNIFORMLY}. Give it the "
        "scores, or log-probabilities.",
    ),
    ("sigmoid", "sigmoid"): (
        "AMX206",
        "error",
        f"{{name}} of the sigmoid in {{place}}: {mistakes.SIGMOID_TWICE}.",
    ),
    ("sigmoid", "probs"): (
        "AMX206",
        "warning",
        f"{{name}} of the softmax in {{place}}: {mistakes.SIGMOID_TWICE}.",
    ),
}


def link_twice(program: Program) -> Iterator[Mistake]:
    """A softmax or a sigmoid of what has gone through one already, by itself or inside a loss."""
    for step in program.steps:
        for known, source in zip(step.operands, step.sources, strict=True):
            taker = _taker(step, source)
            if taker is None or known.what is None:
                continue
            if taker == "softmax" and known.kind == "probs":
                yield _softmax_of_softmax(program, step, known, known.what)
            elif (taker, known.kind) in _TWICE:
                code, level, text = _TWICE[taker, known.what.kind]
                message = text.format(place=place_of(known.what.node), name=name_of(step))
                yield Mistake(code, level, step.node, message)


def _taker(step: Step, source: Node) -> str | None:
    """The function with a link of its own that this tensor goes into, once for each call."""
    call = step.call
    if call and call.function in ("cross_entropy", "binary_cross_entropy_with_logits", "gumbel_softmax"):
        # several ops may make one call: what counts is where the tensor enters it
        return call.function if call_of(source) != call else None
    if source is not step.sources[0]:
        return None
    if step.op in NORMALISATIONS:
        return "softmax"
    return {"log_sigmoid": "sigmoid", "cross_entropy_loss": "cross_entropy"}.get(
        step.op, step.op if step.op in ("sigmoid", "binary_cross_entropy_with_logits") else None
    )


def _softmax_of_softmax(program: Program, step: Step, known: Known, what: What) -> Mistake:
    same = bool(known.axes[dim_of(step)].atoms() & what.over)
    return Mistake(
        "AMX206",
        "error" if same else "warning",
        step.node,
        f"{program.said(step)} that holds probabilities, those of the softmax in {place_of(what.node)}: "
        f"{mistakes.SOFTMAX_TWICE if same else mistakes.ONE_AXIS_AFTER_ANOTHER}.",
    )


def nll_of_log_softmax(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        link = program.made.get(behind(step.sources[0])) if step.op in NLL else None
        # where the model returns its log-probabilities too, they have another use
        if link is not None and link.op in ("log_softmax", "_log_softmax") and len(link.node.users) == 1:
            message = f"nll_loss of the log_softmax in {place_of(link.node)} {mistakes.ONE_CALL}."
            yield Mistake("AMX207", "info", step.node, message)


def nll_of_what(program: Program) -> Iterator[Mistake]:
    for step, known, what in program.given():
        if step.op not in NLL:
            continue
        place = place_of(what.node)
        if what.kind in ("probs", "sigmoid"):
            problem = f"probabilities, those of {place}: {mistakes.NLL_OF_PROBS}."
        elif what.kind == "scores":
            problem = f"raw scores, those of {place}: {mistakes.NLL_OF_SCORES}."
        elif what.kind == "log_probs" and _over_other_axis(known, what):
            problem = (
                f"log-probabilities that sum to 1 over another axis than that of the classes, those of {place}. "
                f"Normalise dim={class_dim(known)}, from which nll_loss reads."
            )
        else:
            continue
        yield Mistake("AMX203", "error", step.node, f"nll_loss of {problem}")


def _over_other_axis(known: Known, what: What) -> bool:
    classes = known.axes[class_dim(known)].atoms()
    return bool(what.over) and what.over <= atoms(known.axes) and not classes & what.over


def bce_of_what(program: Program) -> Iterator[Mistake]:
    for step, _, what in program.given():
        if step.op != "binary_cross_entropy":
            continue
        place = place_of(what.node)
        level: Level = "error"
        if what.kind == "scores":
            problem = f"raw scores, those of {place}: {mistakes.BCE_OF_OTHERS}."
        elif what.kind in ("log_probs", "log_sigmoid"):
            problem = f"log-probabilities, those of {place}: {mistakes.BCE_OF_OTHERS}."
        elif what.kind == "sigmoid":
            level = "info"
            problem = f"the sigmoid in {place} {mistakes.BCE_OF_SIGMOID}."
        else:
            continue
        yield Mistake("AMX204", level, step.node, f"binary_cross_entropy of {problem}")


def kl_div_of_what(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        known = step.input
        if step.op != "kl_div" or known is None:
            continue
        if known.what is not None and known.kind in ("probs", "sigmoid", "scores"):
            given = "raw scores" if known.kind == "scores" else "probabilities"
            yield Mistake(
                "AMX205",
                "error",
                step.node,
                f"kl_div takes log-probabilities first, and is given {given}, those of {place_of(known.what.node)}: "
                f"{mistakes.NO_DIVERGENCE}.",
            )
        if step.arguments.get("reduction") == 1 and len(known.axes) > 1:
            message = f"kl_div of {program.shown(known)} {mistakes.MEAN_OF_ENTRIES}."
            yield Mistake("AMX205", "warning", step.node, message)


def sampler_of_what(program: Program) -> Iterator[Mistake]:
    for step, _, what in program.given():
        place = place_of(what.node)
        # Categorical divides probs by their sum, and takes logsumexp from logits
        categorical = step.call is not None and step.call.within.endswith("distributions.categorical")
        raw = {"scores": "raw scores", "log_probs": "log-probabilities"}.get(what.kind)
        if categorical and step.op == "div" and raw:
            problem = f"Categorical(probs=) of {raw}, those of {place}: {mistakes.PROBS_OF_SCORES}."
        elif categorical and step.op == "logsumexp" and what.kind == "probs":
            problem = f"Categorical(logits=) of probabilities, those of {place}: {mistakes.LOGITS_OF_PROBS}."
        elif step.op == "multinomial" and raw and not categorical:
            problem = f"multinomial of {raw}, those of {place}: {mistakes.MULTINOMIAL_OF_SCORES}."
        else:
            continue
        yield Mistake("AMX208", "error", step.node, problem)
