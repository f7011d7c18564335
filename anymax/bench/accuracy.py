"""The accuracy table: errors in units in the last place against an answer of more digits, beside those of others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymax._core.files import write_whole
from anymax.bench import machine
from anymax.bench.exact import OPS, Op
from anymax.bench.exact.op import Exact

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
LENGTHS = (10, 1000, 32768)
RANGES = {"N(0, 1)": 1.0, "60 N(0, 1)": 60.0, "0.001 N(0, 1)": 0.001}
ENTRIES = 2**18
FEWEST_ROWS = 32
MOST_ROWS = 4096


@dataclass(frozen=True)
class Error:
    """In ULP."""

    largest: float
    percentile: float  # 99.9th


@dataclass(frozen=True)
class Line:
    op: str
    rival: str
    dtype: torch.dtype
    scores: str
    length: int
    ours: Error
    theirs: Error | None


def can_judge(dtype: torch.dtype) -> bool:
    """Whether numpy's longest number has digits to spare beyond the dtype's."""
    return bool(np.finfo(np.longdouble).eps < torch.finfo(dtype).eps / 100)


def errors(got: Tensor, exact: Exact) -> Error:
    """How far results are from the exact ones, in units in the last place of the result's dtype.

    Where the exact answer is below the smallest normal number of the dtype of the computation (float32 for halves), a
    result may be rounded to 0, and the entry does not count. Where the answer is 0 itself, only 0 is right: anything
    else is measured in its own units, and so is wrong in all its digits; right ones do not count, or the many zeros of
    sparse maps would hide the errors of the other entries. An error of NaN is the largest.
    """
    info = torch.finfo(got.dtype)
    values = got.detach().double().numpy().astype(np.longdouble)
    size = np.abs(exact)
    counted = size >= torch.finfo(torch.float64 if got.dtype == torch.float64 else torch.float32).tiny
    # a half whose exact answer is beyond its largest number is rightly infinite
    counted &= ~((size > info.max) & np.isinf(values))
    counted |= (exact == 0) & (values != 0) | np.isnan(values)
    if not counted.any():
        return Error(0.0, 0.0)
    values, exact, size = values[counted], exact[counted], size[counted]
    # the power of two below, times eps; subnormal halves have the spacing of the smallest normal one
    exponent = np.frexp(np.where(exact == 0, np.abs(values), size))[1] - 1
    ulp = np.ldexp(np.longdouble(info.eps), exponent)
    ulp = np.maximum(ulp, np.longdouble(info.tiny) * np.longdouble(info.eps))
    # NaN comes last
    found = np.sort(np.abs(values - exact) / ulp)
    return Error(float(found[-1]), float(found[math.ceil(0.999 * (len(found) - 1))]))


def measured(ops: dict[str, Op] = OPS, lengths: tuple[int, ...] = LENGTHS, entries: int = ENTRIES) -> Iterator[Line]:
    """The errors of every op, dtype, range of scores and length."""
    for name, op in ops.items():
        for dtype in DTYPES:
            if not can_judge(dtype):
                continue
            for scores, scale in RANGES.items():
                for length in lengths:
                    rows = min(MOST_ROWS, max(FEWEST_ROWS, entries // length))
                    source = torch.Generator().manual_seed(length)
                    x = (scale * torch.randn(rows, length, generator=source, dtype=torch.float64)).to(dtype)
                    target = torch.randint(length, (rows,), generator=source)
                    exact = op.exact(x.double().numpy().astype(np.longdouble), target.numpy())
                    yield Line(
                        name,
                        op.rival,
                        dtype,
                        scores,
                        length,
                        errors(op.ours(x, target), exact),
                        None if op.theirs is None else errors(op.theirs(x, target), exact),
                    )


# ULP from which an error is written with one digit
LARGE = 1e4


def write(lines: list[Line], path: Path) -> None:
    write_whole(path, as_page(lines).encode())


def as_page(lines: list[Line]) -> str:
    """A page of Markdown with a table for each op."""
    about, versions = machine.described(), machine.versions()
    lengths = sorted({line.length for line in lines})
    page = [
        "# Accuracy",
        "",
        "`anymax bench --accuracy` writes this page. Errors are in units in the last place (ULP) of the result;",
        "half a ULP is the rounding of the exact answer. Each cell has the largest error and the 99.9th percentile, of",
        "anymax and, in brackets, of what the section names. The exact answer is computed from the same inputs in",
        f"numpy's longdouble ({np.finfo(np.longdouble).nmant + 1} bits of mantissa). A column is a number of classes.",
        "The gradient of a map is that of the first class of each row, that of a loss that of the sum.",
        "",
        "An answer near 0 may be a difference of large numbers, such as the log-probability of a class that is nearly",
        "certain, or the probability that a sparse map gives to a class just above its threshold: its error in ULP is",
        "large although it is small beside the scores. Answers below the smallest normal number of the computation",
        "(1.2e-38 in float32, which computes the halves too) do not count; those made of such a number do.",
        "",
        "Most answers of a sparse map, and some gradients, are exactly 0. Where 0 is the result it is right, and does",
        "not count, or the zeros would hide the errors of the other entries; any other result is wrong in all its",
        f"digits, which is {_number(1 / torch.finfo(torch.float32).eps)} ULP in float32 or up to twice as much.",
        "",
        "NaN is an error, the largest. Formulas as published give it where they divide 0 by 0, in a row in which no",
        "term is positive or each is rounded to 0; infinity by itself, where float16 overflows; and where they",
        "multiply 0 by the logarithm of 0.",
        "",
        "Where what is in brackets has the smaller error, sums are added up in another order; or a binary loss takes",
        "its logarithm from a quotient and shares it with its gradient, roundings more that keep the digits of answers",
        "near 0; or an answer lies beside a threshold, where one rounding decides.",
        "",
        f"{about['processor']}, {about['instruction_set'] or 'without kernels'}; anymax {versions.get('anymax')}, "
        f"torch {versions.get('torch')} with {about['instruction_set_of_torch']}.",
    ]
    for op in dict.fromkeys(line.op for line in lines):
        of_op = [line for line in lines if line.op == op]
        page += ["", f"## {op}", "", *_beside(of_op)]
        page.append("| dtype | scores | " + " | ".join(str(length) for length in lengths) + " |")
        page.append("|---|---" + "|---" * len(lengths) + "|")
        for dtype, scores in dict.fromkeys((line.dtype, line.scores) for line in of_op):
            found = {line.length: line for line in of_op if (line.dtype, line.scores) == (dtype, scores)}
            cells = [_cell(found[length]) for length in lengths]
            page.append(f"| {str(dtype).removeprefix('torch.')} | {scores} | " + " | ".join(cells) + " |")
    return "\n".join(page) + "\n"


def _beside(lines: list[Line]) -> list[str]:
    """Who is in brackets, and how often that one's largest error is the smaller one, as far as the table shows it."""
    pairs = [(line.ours.largest, line.theirs.largest) for line in lines if line.theirs is not None]
    if not pairs:
        return []
    larger = [ours - theirs for ours, theirs in pairs if float(_number(ours)) > float(_number(theirs))]
    words = f"In brackets: {lines[0].rival}."
    if larger:
        words += f" Its largest error is the smaller one in {len(larger)} of {len(pairs)} cells, by at most "
        words += f"{_number(max(larger))} ULP."
    return [words, ""]


def _cell(line: Line) -> str:
    return _pair(line.ours) + (f" ({_pair(line.theirs)})" if line.theirs else "")


def _pair(error: Error) -> str:
    return f"{_number(error.largest)} / {_number(error.percentile)}"


def _number(ulp: float) -> str:
    if math.isnan(ulp):
        return "NaN"
    if ulp < LARGE:
        return f"{ulp:.2f}" if ulp < 100 else f"{ulp:.0f}"
    return f"{ulp:.0e}".replace("e+", "e").replace("e0", "e")
