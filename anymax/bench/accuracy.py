"""The accuracy table: errors in units in the last place against an answer of more digits, beside torch's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

import anymax
from anymax._core.files import write_whole
from anymax.bench import machine

# 64 bits of mantissa or more on Linux; elsewhere it may be float64, which cannot judge float64.
Exact = NDArray[np.longdouble]

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
LENGTHS = (10, 1000, 32768)
RANGES = {"N(0, 1)": 1.0, "60 N(0, 1)": 60.0, "0.001 N(0, 1)": 0.001}
ENTRIES = 2**18
FEWEST_ROWS = 32
MOST_ROWS = 4096


@dataclass(frozen=True)
class Op:
    """One op in three ways, of scores (rows, length) and a target id per row."""

    ours: Callable[[Tensor, Tensor], Tensor]
    theirs: Callable[[Tensor, Tensor], Tensor]
    exact: Callable[[Exact, NDArray[np.int64]], Exact]


@dataclass(frozen=True)
class Error:
    """In ULP."""

    largest: float
    percentile: float  # 99.9th


@dataclass(frozen=True)
class Line:
    op: str
    dtype: torch.dtype
    scores: str
    length: int
    ours: Error
    theirs: Error


def gradient(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Of the sum of the first entries of the rows, or of the sum of the losses."""

    def call(x: Tensor, target: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        result = function(x, target)
        (found,) = torch.autograd.grad(result, x, _upstream(result))
        return found

    return call


def _upstream(result: Tensor) -> Tensor:
    upstream = torch.zeros_like(result) if result.ndim > 1 else torch.ones_like(result)
    if result.ndim > 1:
        upstream[:, 0] = 1
    return upstream


def _exp_and_sum(x: Exact) -> tuple[Exact, Exact, Exact]:
    largest = x.max(1, keepdims=True)
    terms = np.exp(x - largest)
    return terms, terms.sum(1, keepdims=True), largest


def _softmax(x: Exact, target: Any = None) -> Exact:
    terms, total, _ = _exp_and_sum(x)
    return terms / total


def _log_sum_of_others(x: Exact) -> Exact:
    """log of the sum of exp(x - max) as log1p of all but the largest term, which keeps the digits of a small one."""
    terms, _, _ = _exp_and_sum(x)
    np.put_along_axis(terms, x.argmax(1)[:, None], np.longdouble(0), 1)
    return np.log1p(terms.sum(1, keepdims=True))


def _log_softmax(x: Exact, target: Any = None) -> Exact:
    return (x - x.max(1, keepdims=True)) - _log_sum_of_others(x)


def _logsumexp(x: Exact, target: Any = None) -> Exact:
    return (x.max(1, keepdims=True) + _log_sum_of_others(x))[:, 0]


def _entropy(x: Exact, target: Any = None) -> Exact:
    return -(_softmax(x) * _log_softmax(x)).sum(1)


def _cross_entropy(x: Exact, target: NDArray[np.int64]) -> Exact:
    return -np.take_along_axis(_log_softmax(x), target[:, None], 1)[:, 0]


def _labels(x: Tensor) -> Tensor:
    """0 and 1 in turns, for the loss of each entry by itself."""
    return (torch.arange(x.shape[1]) % 2).to(x.dtype).expand_as(x)


def _binary(x: Exact, target: Any = None) -> Exact:
    signed = np.where(np.arange(x.shape[1]) % 2 == 1, -x, x)
    return np.log1p(np.exp(-np.abs(signed))) + np.maximum(signed, 0)


def _softmax_gradient(x: Exact, target: Any) -> Exact:
    p = _softmax(x)
    found = -p * p[:, :1]
    # 1 - p is the sum of the others
    found[:, 0] = p[:, 0] * p[:, 1:].sum(1)
    return found


def _others(p: Exact, ids: NDArray[np.int64]) -> Exact:
    """p, and where the id of the row is, minus the sum of the others: p - 1 with all its digits."""
    found, rest = p.copy(), p.copy()
    np.put_along_axis(rest, ids[:, None], np.longdouble(0), 1)
    np.put_along_axis(found, ids[:, None], -rest.sum(1, keepdims=True), 1)
    return found


def _log_softmax_gradient(x: Exact, target: Any) -> Exact:
    return -_others(_softmax(x), np.zeros(len(x), np.int64))


def _cross_entropy_gradient(x: Exact, target: NDArray[np.int64]) -> Exact:
    return _others(_softmax(x), target)


def _composed_entropy(x: Tensor, target: Tensor) -> Tensor:
    log_probs = torch.log_softmax(x, 1)
    return -(log_probs.exp() * log_probs).sum(1)


def _ours_cross_entropy(x: Tensor, target: Tensor) -> Tensor:
    return anymax.cross_entropy(x, target, reduction="none")


def _theirs_cross_entropy(x: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(x, target, reduction="none")


OPS = {
    "softmax": Op(lambda x, _: anymax.softmax(x, 1), lambda x, _: torch.softmax(x, 1), _softmax),
    "log_softmax": Op(lambda x, _: anymax.log_softmax(x, 1), lambda x, _: torch.log_softmax(x, 1), _log_softmax),
    "logsumexp": Op(lambda x, _: anymax.logsumexp(x, 1), lambda x, _: torch.logsumexp(x, 1), _logsumexp),
    "entropy": Op(lambda x, _: anymax.entropy(x, 1), _composed_entropy, _entropy),
    "cross_entropy": Op(_ours_cross_entropy, _theirs_cross_entropy, _cross_entropy),
    "binary_cross_entropy_with_logits": Op(
        lambda x, _: anymax.binary_cross_entropy_with_logits(x, _labels(x), reduction="none"),
        lambda x, _: functional.binary_cross_entropy_with_logits(x, _labels(x), reduction="none"),
        _binary,
    ),
    "softmax, gradient": Op(
        gradient(lambda x, _: anymax.softmax(x, 1)), gradient(lambda x, _: torch.softmax(x, 1)), _softmax_gradient
    ),
    "log_softmax, gradient": Op(
        gradient(lambda x, _: anymax.log_softmax(x, 1)),
        gradient(lambda x, _: torch.log_softmax(x, 1)),
        _log_softmax_gradient,
    ),
    "logsumexp, gradient": Op(
        gradient(lambda x, _: anymax.logsumexp(x, 1)), gradient(lambda x, _: torch.logsumexp(x, 1)), _softmax
    ),
    "cross_entropy, gradient": Op(
        gradient(_ours_cross_entropy), gradient(_theirs_cross_entropy), _cross_entropy_gradient
    ),
}


def can_judge(dtype: torch.dtype) -> bool:
    """Whether numpy's longest number has digits to spare beyond the dtype's."""
    return bool(np.finfo(np.longdouble).eps < torch.finfo(dtype).eps / 100)


def errors(got: Tensor, exact: Exact) -> Error:
    """How far results are from the exact ones, in units in the last place of the result's dtype.

    Where the exact answer is below the smallest normal number of the dtype of the computation (float32 for halves), a
    result may be rounded to 0, and the entry does not count.
    """
    info = torch.finfo(got.dtype)
    size = np.abs(exact)
    counted = size >= torch.finfo(torch.float64 if got.dtype == torch.float64 else torch.float32).tiny
    # the power of two below, times eps; subnormal halves have the spacing of the smallest normal one
    exponent = np.frexp(np.where(counted, size, np.longdouble(1)))[1] - 1
    ulp = np.ldexp(np.longdouble(info.eps), exponent)
    ulp = np.maximum(ulp, np.longdouble(info.tiny) * np.longdouble(info.eps))
    # a half whose exact answer is beyond its largest number is rightly infinite
    beyond = size > info.max
    values = got.detach().double().numpy().astype(np.longdouble)
    with np.errstate(invalid="ignore"):
        found = (np.abs(values - exact) / ulp)[counted & ~(beyond & np.isinf(values))]
    if not found.size:
        return Error(0.0, 0.0)
    found = np.where(np.isnan(found), np.longdouble(np.inf), found)
    return Error(float(found.max()), float(np.quantile(found.astype(np.float64), 0.999, method="higher")))


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
                        dtype,
                        scores,
                        length,
                        errors(op.ours(x, target), exact),
                        errors(op.theirs(x, target), exact),
                    )


# ULP from which an error is written with one digit
LARGE = 1e4


def write(lines: list[Line], path: Path) -> None:
    write_whole(path, as_page(lines).encode())


def as_page(lines: list[Line]) -> str:
    """A page of Markdown with a table for each op."""
    about, versions = machine.described(), machine.versions()
    lengths = sorted({line.length for line in lines})
    # errors of more, of answers near 0, are compared as they are written: in one digit
    excess = [line.ours.largest - line.theirs.largest for line in lines if line.ours.largest < LARGE]
    larger = [ulp for ulp in excess if ulp > 0]
    page = [
        "# Accuracy",
        "",
        "`anymax bench --accuracy` writes this page. Errors are in units in the last place (ULP) of the result;",
        "half a ULP is the rounding of the exact answer. Each cell has the largest error and the 99.9th percentile, of",
        "anymax and, in brackets, of torch. The exact answer is computed from the same inputs in numpy's longdouble",
        f"({np.finfo(np.longdouble).nmant + 1} bits of mantissa). A column is a number of classes.",
        "",
        "An answer near 0 may be a difference of large numbers, such as the log-probability of a class that is nearly",
        "certain: its error in ULP is large although it is small beside the scores. Answers below the smallest normal",
        "number of the computation (1.2e-38 in float32, which computes the halves too) do not count. The gradient of a",
        "map is that of the first class of each row; the entropy of torch is composed of its `log_softmax`.",
        "",
        f"Where torch's largest error is the smaller one, as in {len(larger)} of {len(lines)} cells, ours is at most",
        f"{max(larger, default=0):.2f} ULP larger: sums are added up in another order, and where scores are near 0 the "
        "binary loss",
        "takes its logarithm from a quotient, which is one rounding more and keeps the digits of small losses.",
        "",
        f"{about['processor']}, {about['instruction_set'] or 'without kernels'}; anymax {versions.get('anymax')}, "
        f"torch {versions.get('torch')} with {about['instruction_set_of_torch']}.",
    ]
    for op in dict.fromkeys(line.op for line in lines):
        page += ["", f"## {op}", ""]
        page.append("| dtype | scores | " + " | ".join(str(length) for length in lengths) + " |")
        page.append("|---|---" + "|---" * len(lengths) + "|")
        of_op = [line for line in lines if line.op == op]
        for dtype, scores in dict.fromkeys((line.dtype, line.scores) for line in of_op):
            found = {line.length: line for line in of_op if (line.dtype, line.scores) == (dtype, scores)}
            cells = [_cell(found[length]) for length in lengths]
            page.append(f"| {str(dtype).removeprefix('torch.')} | {scores} | " + " | ".join(cells) + " |")
    return "\n".join(page) + "\n"


def _cell(line: Line) -> str:
    return f"{_pair(line.ours)} ({_pair(line.theirs)})"


def _pair(error: Error) -> str:
    return f"{_number(error.largest)} / {_number(error.percentile)}"


def _number(ulp: float) -> str:
    if ulp < LARGE:
        return f"{ulp:.2f}" if ulp < 100 else f"{ulp:.0f}"
    return f"{ulp:.0e}".replace("e+", "e").replace("e0", "e")
