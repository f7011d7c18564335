"""What the tested items decide: one record per method and measure, from a planned look at the repeats so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from anymax.lab.measure import MEASURES
from anymax.lab.measuring.outcomes import Outcomes, of_items
from anymax.lab.results import Difference, Verdict
from anymax.lab.statistics.counts import too_few
from anymax.lab.statistics.decisions import LEVEL, Answer, Decision, decide, further_repeats
from anymax.lab.statistics.twoway import spread

FEWEST_REPEATS = 3  # fewer tell no difference from chance
# Beside the deciding measure: the log-likelihood, which sees more than any other, is judged by itself.
_BESIDE = (("nll",), ("top1", "macro_f1", "micro_f1", "exact", "average_precision", "brier"))
# An answer is not taken back by a later look that has one further left.
_FIRMNESS: dict[Answer, int] = {"open": 0, "equivalent": 1, "better": 2, "worse": 2}


@dataclass
class Judge:
    """The verdict as it stands after each planned look: what one look has decided, no later one takes back.

    Args:
        decide_by: the deciding measure.
        margin: how much does not matter: of a share in its own unit, else as a share of the reference's value.
        classes: those that measures per class are taken over, and whose rows are counted; None where classes are words,
            of which nobody asks for so many of each.
    """

    decide_by: str
    margin: float
    classes: Sequence[int] | None
    reference: str | None = None
    found: list[Difference] = field(default_factory=list)
    seen: Outcomes | None = None  # by the last look
    level: float = 0.0  # of it

    def look(self, outcomes: Outcomes, *, level: float, later: Mapping[int, float]) -> list[str]:
        """Take another look; the methods that are still open.

        Args:
            outcomes: what the repeats so far came to.
            level: the share of the error that this look has.
            later: the shares of later looks, by repeats.
        """
        self.seen, self.level = outcomes, level
        reference = reference_of(outcomes, self.decide_by)
        if reference is None or len(outcomes.items) < FEWEST_REPEATS:
            return list(outcomes.answers)
        now = self._differences(outcomes, [self.decide_by], reference, later)
        before = {each.method: each for each in self.found} if reference == self.reference else {}
        self.reference = reference
        self.found = [_firmer(before.get(each.method, each), each) for each in now]
        return [each.method for each in self.found if not each.decided]

    def verdict(self) -> Verdict:
        """What is known after the last look, its advice still to be written; in the other measures at its level."""
        assert self.seen is not None
        if self.reference is None:
            first = reference_of(self.seen, self.decide_by) or next(iter(self.seen.answers))
            return Verdict(first, [], [], first, "")
        better = [each for each in self.found if each.answer == "better"]
        pick = max(better, key=lambda each: abs(each.mean)).method if better else self.reference
        others = []
        for family in _BESIDE:
            keys = [key for key in family if key != of_items(self.decide_by) and self.seen.has(self.reference, key)]
            others += self._differences(self.seen, keys, self.reference, {})
        return Verdict(self.reference, self.found, others, pick, "")

    def beside(self, outcomes: Outcomes, pick: str) -> list[Difference]:
        """How classifiers that are no heads do beside the method that was picked, in the deciding measure."""
        if len(outcomes.items) < FEWEST_REPEATS or not outcomes.has(pick, self.decide_by):
            return []
        return self._differences(outcomes, [self.decide_by], pick, {})

    def _differences(
        self, outcomes: Outcomes, keys: Sequence[str], reference: str, later: Mapping[int, float]
    ) -> list[Difference]:
        return differences(
            outcomes,
            keys,
            reference=reference,
            margin=self.margin,
            level=self.level,
            classes=self.classes,
            later=later,
        )


def _firmer(earlier: Difference, now: Difference) -> Difference:
    return earlier if _FIRMNESS[earlier.answer] > _FIRMNESS[now.answer] else now


def reference_of(outcomes: Outcomes, key: str) -> str | None:
    """The method that the others are compared with: softmax where it has the measure, else the first that has."""
    complete = [name for name in outcomes.answers if outcomes.has(name, key)]
    return "softmax" if "softmax" in complete else next(iter(complete), None)


def differences(
    outcomes: Outcomes,
    keys: Sequence[str],
    *,
    reference: str,
    margin: float,
    level: float,
    classes: Sequence[int] | None = None,
    later: Mapping[int, float] | None = None,
) -> list[Difference]:
    """Every method against the reference in these measures, all methods of a measure decided together.

    A false "better" or "worse" in any of them comes up with at most `level`. Where too little is counted all is open. A
    method that lacks a measure in some repeat is left out of it: its other repeats alone would flatter it.

    Args:
        outcomes: what the repeats so far came to.
        keys: the measures, of which the reference has each.
        reference: the method to compare with.
        margin: how much does not matter: of a share in its own unit, else as a share of the reference's value.
        level: the share of the error that this look has.
        classes: as for `Judge`.
        later: the share of later looks, by repeats; what they could decide is said of what is open.
    """
    found = []
    rarest, even = outcomes.rows_of(classes)
    wrong = {name: outcomes.wrong(name, reference) for name in outcomes.answers}
    for key in keys:
        spreads = {
            name: spread(outcomes.gains(name, reference, key))
            for name in outcomes.answers
            if name != reference and outcomes.has(name, key)
        }
        allowed = _in_unit(margin, key, outcomes.mean(reference, key))
        decisions = decide(
            {name: each.estimate() for name, each in spreads.items()},
            margin=allowed,
            higher_is_better=MEASURES[key].higher_is_better,
            level=level / len(keys),
        )
        undecided = sum(one.answer in ("open", "equivalent") for one in decisions.values())
        for name, decision in decisions.items():
            record = _record(name, key, decision, allowed, level / len(keys), len(outcomes.items))
            record.too_few = too_few(key, rarest=rarest, even=even, wrong=wrong[name], labels=outcomes.of_labels)
            if record.too_few is not None:
                record.answer = "open"
            elif record.answer == "open":
                record.further_repeats = further_repeats(
                    spreads[name], margin=allowed, methods=undecided, levels=later or {}
                )
            found.append(record)
    return found


def _in_unit(margin: float, key: str, of_reference: float) -> float:
    """A margin in the unit in which differences of a measure are taken."""
    if MEASURES[key].by_ratio:
        return math.log1p(margin)
    return margin * of_reference if MEASURES[key].relative_margin else margin


def _record(name: str, key: str, decision: Decision, margin: float, level: float, repeats: int) -> Difference:
    return Difference(
        method=name,
        measure=key,
        answer=decision.answer,
        mean=decision.estimate.mean,
        low=decision.low,
        high=decision.high,
        nominal_low=decision.nominal[0],
        nominal_high=decision.nominal[1],
        equivalent_low=decision.estimate.mean - decision.estimate.half_width(2 * LEVEL),
        equivalent_high=decision.estimate.mean + decision.estimate.half_width(2 * LEVEL),
        p_value=decision.p_value,
        p_adjusted=decision.p_adjusted,
        level=level,
        margin=margin,
        repeats=repeats,
    )
