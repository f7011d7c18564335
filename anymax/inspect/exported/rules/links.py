"""What losses and samplers are given, scores or probabilities: AMX201 to AMX208."""

from __future__ import annotations

from collections.abc import Iterator

from torch.fx import Node

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
        "cross_entropy of probabilities: the softmax in {place} is followed by the log_softmax inside the loss, so the "
        "loss cannot come near 0 and gradients are small. Give the scores to cross_entropy, and take softmax only "
        "where probabilities are read.",
    ),
    ("cross_entropy", "sigmoid"): (
        "AMX201",
        "error",
        "cross_entropy of a sigmoid: scores between 0 and 1, those of {place}, keep the loss far from 0. Give the "
        "scores to cross_entropy, or to binary_cross_entropy_with_logits if each class is a question of its own.",
    ),
    ("cross_entropy", "log_probs"): (
        "AMX201",
        "warning",
        "cross_entropy of log-probabilities: the log_softmax in {place} changes nothing, since the loss has its own. "
        "Give the scores to cross_entropy, or the log-probabilities to nll_loss.",
    ),
    ("binary_cross_entropy_with_logits", "sigmoid"): (
        "AMX202",
        "error",
        "binary_cross_entropy_with_logits of a sigmoid: the sigmoid in {place} is followed by the one inside the loss, "
        "which sees scores between 0 and 1 alone. Give it the scores.",
    ),
    ("binary_cross_entropy_with_logits", "probs"): (
        "AMX202",
        "error",
        "binary_cross_entropy_with_logits of a softmax: the softmax in {place} is followed by the sigmoid inside the "
        "loss, which sees scores between 0 and 1 alone. Give it the scores.",
    ),
    ("gumbel_softmax", "probs"): (
        "AMX206",
        "error",
        "gumbel_softmax of probabilities, those of the softmax in {place}: from numbers between 0 and 1 it draws "
        "almost uniformly. Give it the scores, or log-probabilities.",
    ),
    ("sigmoid", "sigmoid"): (
        "AMX206",
        "error",
        "{name} of the sigmoid in {place}: the sigmoid of a probability lies between 0.5 and 0.73. Take one of the two "
        "away.",
    ),
    ("sigmoid", "probs"): (
        "AMX206",
        "warning",
        "{name} of the softmax in {place}: the sigmoid of a probability lies between 0.5 and 0.73. Take one of the two "
        "away.",
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
    write = "Take one of the two away." if same else "Both axes jointly are one call: anymax.softmax(x, dim=(i, j))."
    return Mistake(
        "AMX206",
        "error" if same else "warning",
        step.node,
        f"{program.said(step)} that holds probabilities, those of the softmax in {place_of(what.node)}: of "
        f"numbers between 0 and 1, softmax is almost uniform. {write}",
    )


def nll_of_log_softmax(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        link = program.made.get(behind(step.sources[0])) if step.op in NLL else None
        # where the model returns its log-probabilities too, they have another use
        if link is not None and link.op in ("log_softmax", "_log_softmax") and len(link.node.users) == 1:
            yield Mistake(
                "AMX207",
                "info",
                step.node,
                f"nll_loss of the log_softmax in {place_of(link.node)} is right; cross_entropy of the scores is "
                "the same in one call.",
            )


def nll_of_what(program: Program) -> Iterator[Mistake]:
    for step, known, what in program.given():
        if step.op not in NLL:
            continue
        place = place_of(what.node)
        if what.kind in ("probs", "sigmoid"):
            problem = (
                f"probabilities, those of {place}: the loss is their negative mean, always below 0. Write log_softmax "
                "for softmax, or give the scores to cross_entropy."
            )
        elif what.kind == "scores":
            problem = (
                f"raw scores, those of {place}: larger scores lower the loss for ever. Write cross_entropy, or "
                "log_softmax in front."
            )
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
            problem = (
                f"raw scores, those of {place}, raises as soon as one lies outside [0, 1]. Write "
                "binary_cross_entropy_with_logits."
            )
        elif what.kind in ("log_probs", "log_sigmoid"):
            problem = (
                f"log-probabilities, those of {place}, which are below 0, raises. Give the scores to "
                "binary_cross_entropy_with_logits."
            )
        elif what.kind == "sigmoid":
            level = "info"
            problem = (
                f"the sigmoid in {place} is right, and loses the digits of confident answers. "
                "binary_cross_entropy_with_logits takes the scores."
            )
        else:
            continue
        yield Mistake("AMX204", level, step.node, f"binary_cross_entropy of {problem}")


def kl_div_of_what(program: Program) -> Iterator[Mistake]:
    for step in program.steps:
        known = step.input
        if step.op != "kl_div" or known is None:
            continue
        if known.what is not None and known.kind in ("probs", "sigmoid", "scores"):
            raw = known.kind == "scores"
            yield Mistake(
                "AMX205",
                "error",
                step.node,
                f"kl_div takes log-probabilities first, and is given {'raw scores' if raw else 'probabilities'}, those "
                f"of {place_of(known.what.node)}: it is no divergence, and may be below 0. Write log_softmax "
                f"{'in front' if raw else 'for softmax'}.",
            )
        if step.arguments.get("reduction") == 1 and len(known.axes) > 1:
            yield Mistake(
                "AMX205",
                "warning",
                step.node,
                f"kl_div of {program.shown(known)} with reduction='mean' divides by the number of entries, not of "
                "distributions. Write reduction='batchmean'.",
            )


def sampler_of_what(program: Program) -> Iterator[Mistake]:
    for step, _, what in program.given():
        place = place_of(what.node)
        # Categorical divides probs by their sum, and takes logsumexp from logits
        categorical = step.call is not None and step.call.within.endswith("distributions.categorical")
        raw = {"scores": "raw scores", "log_probs": "log-probabilities"}.get(what.kind)
        if categorical and step.op == "div" and raw:
            problem = (
                f"Categorical(probs=) of {raw}, those of {place}: it divides by their sum. Write logits= for probs=."
            )
        elif categorical and step.op == "logsumexp" and what.kind == "probs":
            problem = (
                f"Categorical(logits=) of probabilities, those of {place}: it takes their softmax once more, and draws "
                "almost uniformly. Write probs= for logits=, or give it the scores."
            )
        elif step.op == "multinomial" and raw and not categorical:
            problem = (
                f"multinomial of {raw}, those of {place}: it takes probabilities. Write "
                "multinomial(softmax(x, dim=-1), n), or anymax.sample(x, dim=-1)."
            )
        else:
            continue
        yield Mistake("AMX208", "error", step.node, problem)
