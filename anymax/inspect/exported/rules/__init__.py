"""The mistakes that a traced program shows: a rule is a function from the program to what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import sympy

from anymax.inspect.exported.flow import Step
from anymax.inspect.exported.rules import axes, links, numbers
from anymax.inspect.exported.rules.program import Mistake, Program

_RULES: tuple[Callable[[Program], Iterator[Mistake]], ...] = (
    axes.implicit_dim,
    axes.softmax_over_batch,
    axes.classes_from_batch,
    axes.attention_over_batch,
    axes.softmax_over_one,
    axes.one_class_or_key,
    axes.not_the_summed_axis,
    axes.line_of_image,
    axes.argmax_elsewhere,
    axes.several_ranks,
    axes.classes_last,
    links.link_twice,
    links.nll_of_log_softmax,
    links.nll_of_what,
    links.bce_of_what,
    links.kl_div_of_what,
    links.sampler_of_what,
    numbers.log_of_link,
    numbers.own_softmax,
    numbers.weak_mask,
    numbers.rows_masked_as_a_whole,
    numbers.overflowing_fill,
)


def mistakes(steps: Sequence[Step], batch: sympy.Symbol) -> list[Mistake]:
    """What all rules find, in the order of the program."""
    program = Program(steps, batch)
    order = {step.node: at for at, step in enumerate(steps)}
    found = [mistake for rule in _RULES for mistake in rule(program)]
    return sorted(found, key=lambda one: (order[one.node], one.code))
