"""`python -m tests.dimbugs.score`: what each engine finds of DimBugs, what it reports falsely, and what it misses."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.dimbugs.engines import ALL, Engine, Sight
from tests.dimbugs.pairs import ENGINES, HALVES, Pair, all_pairs

Sights = Mapping[tuple[str, str, str], Sight]
"""What was seen, by engine, slug and half."""


@dataclass(frozen=True)
class Score:
    """Of one engine, or of several together: a pair is found where any of them names the mistake of its buggy half."""

    name: str
    pairs: int
    found: tuple[str, ...]
    false: tuple[str, ...]
    """The pairs on whose fixed half anything was reported."""
    could: int
    """How many pairs it could see in principle."""

    @property
    def recall(self) -> float:
        return len(self.found) / self.pairs

    @property
    def precision(self) -> float | None:
        """Of the halves with a report that counts, those that are buggy; None where nothing was reported."""
        reported = len(self.found) + len(self.false)
        return len(self.found) / reported if reported else None


def score(pairs: Sequence[Pair], engines: Sequence[str], sights: Sights, name: str) -> Score:
    return Score(
        name=name,
        pairs=len(pairs),
        found=tuple(pair.slug for pair in pairs if any(_finds(sights, engine, pair) for engine in engines)),
        false=tuple(p.slug for p in pairs if any(sights[engine, p.slug, "fixed"].codes for engine in engines)),
        could=sum(not set(engines).isdisjoint(pair.engines) for pair in pairs),
    )


def _finds(sights: Sights, engine: str, pair: Pair) -> bool:
    return not sights[engine, pair.slug, "buggy"].codes.isdisjoint(pair.codes)


def look(engines: Sequence[Engine], pairs: Sequence[Pair]) -> dict[tuple[str, str, str], Sight]:
    sights = {}
    for engine in engines:
        for number, pair in enumerate(pairs, 1):
            if sys.stderr.isatty():
                print(f"\r{engine.name} {number}/{len(pairs)} ", end="", file=sys.stderr)
            for half in HALVES:
                sights[engine.name, pair.slug, half] = engine.sight(pair, half)
    return sights


def report(pairs: Sequence[Pair], engines: Sequence[str], sights: Sights) -> str:
    scores = [score(pairs, [engine], sights, engine) for engine in engines]
    if len(engines) > 1:
        scores.append(score(pairs, engines, sights, "together"))
    parts = [_table(scores), _false(engines, pairs, sights), _missed(engines, pairs, sights), _not_run(sights)]
    return "\n\n".join(part for part in parts if part)


def _table(scores: Iterable[Score]) -> str:
    lines = [
        "| engine | pairs | could see | found | recall | fixed halves with a finding | precision |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in scores:
        precision = "" if one.precision is None else f"{one.precision:.0%}"
        lines.append(
            f"| {one.name} | {one.pairs} | {one.could} | {len(one.found)} | {one.recall:.0%} "
            f"| {len(one.false)} | {precision} |"
        )
    return "\n".join(lines)


def _false(engines: Sequence[str], pairs: Sequence[Pair], sights: Sights) -> str:
    lines = [
        f"  {pair.slug}: {engine} reports {', '.join(sorted(codes))}"
        for pair in pairs
        for engine in engines
        if (codes := sights[engine, pair.slug, "fixed"].codes)
    ]
    return "\n".join(["Findings on fixed halves:", *lines]) if lines else ""


def _missed(engines: Sequence[str], pairs: Sequence[Pair], sights: Sights) -> str:
    lines = []
    for pair in pairs:
        silent = [engine for engine in engines if engine in pair.engines and not _finds(sights, engine, pair)]
        if not silent:
            continue
        by_all = not any(_finds(sights, engine, pair) for engine in engines)
        seen = sorted(set().union(*(sights[engine, pair.slug, "buggy"].codes for engine in engines)))
        others = f"; reported: {', '.join(seen)}" if seen and by_all else ""
        mark = "missed by all" if by_all else "missed"
        lines.append(f"  {pair.slug} ({', '.join(pair.codes)}): {mark}, could be seen by {', '.join(silent)}{others}")
    return "\n".join(["Misses:", *lines]) if lines else ""


def _not_run(sights: Sights) -> str:
    lines = [
        f"  {slug}/{half}: {engine}: {sight.not_run}" for (engine, slug, half), sight in sights.items() if sight.not_run
    ]
    return "\n".join(["Not looked at:", *lines]) if lines else ""


def _as_json(pairs: Sequence[Pair], engines: Sequence[str], sights: Sights) -> str:
    return json.dumps(
        {
            pair.slug: {
                "codes": pair.codes,
                "engines": pair.engines,
                "seen": {
                    half: {engine: sorted(sights[engine, pair.slug, half].codes) for engine in engines}
                    for half in HALVES
                },
            }
            for pair in pairs
        },
        indent=2,
    )


def main(arguments: Sequence[str] | None = None, engines: Sequence[Engine] = ALL) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.dimbugs.score", description=__doc__)
    parser.add_argument("slugs", nargs="*", metavar="PAIR", help="pairs to look at; default: all")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="may be given several times; default: all")
    parser.add_argument("--output-format", choices=("text", "json"), default="text")
    options = parser.parse_args(arguments)

    pairs = [pair for pair in all_pairs() if not options.slugs or pair.slug in options.slugs]
    if unknown := set(options.slugs) - {pair.slug for pair in pairs}:
        parser.error(f"There is no pair {', '.join(sorted(unknown))}.")
    wanted = [engine for engine in engines if not options.engine or engine.name in options.engine]
    there = [engine for engine in wanted if engine.is_there()]
    for engine in wanted:
        if engine not in there:
            print(f"{engine.name} is not part of this anymax and is left out.", file=sys.stderr)
    if not there:
        return 2

    sights = look(there, pairs)
    names = [engine.name for engine in there]
    print(_as_json(pairs, names, sights) if options.output_format == "json" else report(pairs, names, sights))
    return 0


if __name__ == "__main__":
    sys.exit(main())
