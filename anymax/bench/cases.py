"""What is measured: an op, a shape, and which part of the work; plain data, so that it goes from process to process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from anymax._core.sentences import quoted
from anymax.bench.errors import BenchError

FORWARD = "forward"
RECORDED = "recorded"  # forward of an input that requires a gradient, which autograd takes note of
BACKWARD = "with backward"

# Below so many entries a call is all overhead: no copy of the data explains its time, and no page of its result is new.
SMALL = 1000

NOISE = "noise"  # the draws of the noise laws, which are no function of anymax's top level


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Args:
        op: a public function of anymax, or `NOISE`.
        shape: of the scores; for losses without all the scores (rows, features, classes); for draws (draws, classes).
        work: `FORWARD`, `RECORDED` or `BACKWARD`.
        dim: the axis that competes, where the op takes one; several axes that follow one another.
        variant: which of the op's options, where there are several.
        dtype: of the scores.
    """

    op: str
    shape: tuple[int, ...]
    work: str = FORWARD
    dim: int | tuple[int, ...] = -1
    variant: str = ""
    dtype: str = "float32"

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Case:
        """From its fields as JSON has them, without tuples."""
        tuples = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return cls(**{**fields, **tuples})

    @property
    def is_small(self) -> bool:
        # a third size is that of the classes; images have four
        return math.prod(self.shape if len(self.shape) > 3 else self.shape[:2]) < SMALL

    @property
    def name(self) -> str:
        """The case without its work, such as `softmax 8192x1000 dim 0`."""
        sizes = "x".join(str(size) for size in self.shape)
        dims = self.dim if isinstance(self.dim, tuple) else (self.dim,)
        dim = "" if self.dim == -1 else f"dim {','.join(str(one) for one in dims)}"
        words = (self.op, self.variant, sizes, dim, "" if self.dtype == "float32" else self.dtype)
        return " ".join(word for word in words if word)

    def __str__(self) -> str:
        return f"{self.name}, {self.work}"


LAST_DIM = ((8192, 1000), (2048, 32768), (65536, 128), (64, 128, 56, 56), (1_000_000, 10))
OTHER_DIMS = (((64, 128, 56, 56), 1), ((8, 21, 512, 512), 1), ((8192, 1000), 0))
ROWS = ((8192, 1000), (2048, 32768), (65536, 128))
WIDE = ((8192, 1000), (2048, 32768))
TINY = (32, 10)


def _all() -> Iterable[Case]:
    for op in ("softmax", "log_softmax"):
        for shape, dim in (*((shape, -1) for shape in LAST_DIM), *OTHER_DIMS):
            yield from (Case(op, shape, work, dim) for work in (FORWARD, BACKWARD))
    yield from (Case("softmax", (64, 128, 56, 56), work, dim=(2, 3)) for work in (FORWARD, BACKWARD))
    for shape in WIDE:
        yield from (Case("softmax", shape, work, dtype="bfloat16") for work in (FORWARD, BACKWARD))
    for shape in ROWS:
        yield from (Case("logsumexp", shape, work) for work in (FORWARD, BACKWARD))
    for op in ("entropy", "log_prob"):
        yield from (Case(op, (8192, 1000), work) for work in (FORWARD, BACKWARD))
    for op in ("sparsemax", "entmax"):
        for shape in ((4096, 1000), (512, 32768)):
            yield from (Case(op, shape, work) for work in (FORWARD, BACKWARD))
            yield Case(f"{op}_loss", shape, BACKWARD)
    for op in ("relumax", "softpick", "taylor_softmax"):
        yield from (Case(op, shape) for shape in WIDE)
        yield Case(op, (8192, 1000), BACKWARD)
    for shape in ROWS:
        yield Case("cross_entropy", shape, BACKWARD)
    for op in ("binary_cross_entropy_with_logits", "sigmoid_focal_loss", "asymmetric_loss"):
        yield Case(op, (65536, 128), BACKWARD)
    yield Case("ldam_loss", (8192, 1000), BACKWARD)
    for shape in WIDE:
        yield from (Case("gumbel_softmax", shape, FORWARD, variant=variant) for variant in ("soft", "hard"))
        yield Case("gumbel_topk", shape)
        yield Case("sample", shape)
    for variant in ("soft", "hard", "reinmax"):
        yield Case("gumbel_softmax", (8192, 1000), BACKWARD, variant=variant)
    yield Case("gumbel_softmax", (1024, 1000), BACKWARD, variant="rao")
    yield from (Case("keep_mask", (2048, 32768), variant=variant) for variant in ("top_k", "top_p"))
    yield Case("linear_cross_entropy", (2048, 512, 32768), BACKWARD)
    for op in ("nce_loss", "negative_sampling_loss", "sampled_softmax_loss"):
        yield Case(op, (512, 128, 100_000), BACKWARD)
    for op in ("adaptive_softmax_loss", "hierarchical_softmax_loss"):
        yield Case(op, (512, 128, 100_000), BACKWARD)
    yield from (Case("info_nce", (2048, 256, 2048), BACKWARD, variant=variant) for variant in ("", "symmetric"))
    yield from (Case(NOISE, (8192, 10_000_000), variant=law) for law in ("LogUniform", "Unigram"))
    for op in ("softmax", "log_softmax", "logsumexp", "cross_entropy", "gumbel_softmax"):
        variant = "soft" if op == "gumbel_softmax" else ""
        yield from (Case(op, TINY, work, variant=variant) for work in (FORWARD, RECORDED, BACKWARD))
    yield Case("nce_loss", (*TINY, 1_000_000))


CASES = tuple(_all())
OPS = tuple(dict.fromkeys(case.op for case in CASES))

QUICK = (
    Case("softmax", (8192, 1000)),
    Case("cross_entropy", (8192, 1000), BACKWARD),
    Case("softmax", TINY),
    Case("gumbel_softmax", TINY, variant="soft"),
    Case("cross_entropy", TINY, BACKWARD),
)


def chosen(ops: Sequence[str] | None = None, quick: bool = False) -> tuple[Case, ...]:
    """The cases of these ops, or of all; the quick ones are few.

    Raises:
        BenchError: there is no op of this name.
    """
    for op in ops or ():
        if op not in OPS:
            raise BenchError(f"There is no op {quoted(op)} to measure: expected some of {', '.join(OPS)}.")
    if not quick:
        return tuple(case for case in CASES if ops is None or case.op in ops)
    if ops is None:
        return QUICK
    # of each op that was asked for, its smallest
    return tuple(min((case for case in CASES if case.op == op), key=lambda case: math.prod(case.shape)) for op in ops)
