"""What baycomp's correlated t-test says of finished comparisons, beside the verdicts of `anymax compare`.

`baycomp` (Corani and Benavoli, 2015; Benavoli, Corani, Demsar and Zaffalon, 2017) is what is mostly used for such a
question. Of the differences between two classifiers it gives the probabilities that one is better by more than the
margin, that neither is, and that the other is. It assumes that results of two repeats correlate by the share of rows
that is tested, a fifth here, as the corrected resampled t does; anymax estimates from the rows what they share.

Run: pip install baycomp, then python examples/beside_baycomp.py FOLDER ..., folders that `anymax compare` has written.
"""

import json
import sys
from pathlib import Path

import numpy as np

from anymax.lab.measure import MEASURES

FOLDS = 5  # tested parts of a round


def rows(path):
    """Per method: what was compared, the answer of anymax, and baycomp's three probabilities."""
    from baycomp import two_on_single

    found = json.loads((path / "results.json").read_text(encoding="utf-8"))
    key, verdict = found["decide_by"], found["verdict"]
    reached = {}
    for trial in found["trials"]:
        reached.setdefault(trial["method"], {})[trial["repeat"]] = trial["tested"]["measures"][key]
    for record in verdict["differences"]:
        repeats = range(record["repeats"])
        head, reference = (
            np.array([reached[name][repeat] for repeat in repeats]) for name in (record["method"], verdict["reference"])
        )
        if MEASURES[key].by_ratio:
            head, reference = np.log(head), np.log(reference)
        runs = max(1, len(repeats) // FOLDS)
        lower, same, higher = two_on_single(reference, head, rope=record["margin"], runs=runs)
        better, worse = (higher, lower) if MEASURES[key].higher_is_better else (lower, higher)
        yield (
            found["data"]["name"],
            f"{record['method']}, {key}",
            str(len(repeats)),
            f"{record['mean']:+.4f}",
            record["answer"],
            *(f"{probability:.2f}" for probability in (better, same, worse)),
        )


def main():
    head = ("data", "head, measure", "repeats", "difference", "anymax", "better", "within the margin", "worse")
    print("|", " | ".join(head), "|")
    print("|" + "---|" * len(head))
    for folder in sys.argv[1:]:
        for row in rows(Path(folder)):
            print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()
