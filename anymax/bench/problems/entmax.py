"""sparsemax, entmax and their losses, against the sort that other implementations are made of."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Function, Maker, Problem, by_reference, scores


def _sorted_sparsemax(x: Tensor) -> Tensor:
    z = x - x.amax(1, keepdim=True)
    ordered = z.sort(1, descending=True).values
    rank = torch.arange(1, x.shape[1] + 1, device=x.device)
    excess = ordered.cumsum(1) - 1
    count = (rank * ordered > excess).sum(1, keepdim=True)
    return torch.relu(z - excess.gather(1, count - 1) / count)


def _sorted_entmax(x: Tensor) -> Tensor:
    z = (x - x.amax(1, keepdim=True)) / 2
    ordered = z.sort(1, descending=True).values
    rank = torch.arange(1, x.shape[1] + 1, device=x.device)
    mean = ordered.cumsum(1) / rank
    variance = ordered.square().cumsum(1) / rank - mean.square()
    thresholds = mean - torch.sqrt(torch.relu((1 - rank * variance) / rank) + 1e-12)
    count = (thresholds <= ordered).sum(1, keepdim=True)
    return torch.relu(z - thresholds.gather(1, count - 1)).square()


SORTED = {"sparsemax": _sorted_sparsemax, "entmax": _sorted_entmax}
# the same in the package of the authors of entmax
PACKAGE, NAMES = "entmax", {"sparsemax": "sparsemax", "entmax": "entmax15"}


def of_package(name: str) -> Callable[..., Tensor] | None:
    """A function of the package, where that is installed; its losses are one per row."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    return getattr(importlib.import_module(PACKAGE), name)


def _rivals(in_torch: Function, name: str, argument: object) -> dict[str, Function]:
    """The sort, and the package."""
    function = of_package(name)
    if function is None:
        return {"torch": in_torch}

    def package(x: Tensor) -> Tensor:
        result = function(x, argument)
        return result.mean() if name.endswith("_loss") else result

    return {"torch": in_torch, f"{PACKAGE}'s {name}": package}


def _map(case: Case) -> Problem:
    function = getattr(anymax, case.op)

    def ours(x: Tensor) -> Tensor:
        return function(x, 1)

    return Problem(
        (scores(case),),
        ours,
        _rivals(SORTED[case.op], NAMES[case.op], 1),
        exact=by_reference(ours),
        batch_axis=0,
        copied=True,
    )


def _loss(case: Case) -> Problem:
    function, of_map = getattr(anymax, case.op), case.op.removesuffix("_loss")
    alpha = {"sparsemax": 2.0, "entmax": 1.5}[of_map]
    target = torch.randint(case.shape[1], case.shape[:1])

    def ours(x: Tensor) -> Tensor:
        return function(x, target)

    def composed(x: Tensor) -> Tensor:
        # the gradient of the loss is p - y, so that nobody needs that of the sort
        probs = SORTED[of_map](x.detach())
        entropy = (1 - probs.pow(alpha).sum(1)) / (alpha * (alpha - 1))
        return ((probs * (x - x.gather(1, target[:, None]))).sum(1) + entropy).mean()

    rivals = _rivals(composed, f"{NAMES[of_map]}_loss", target)
    return Problem((scores(case),), ours, rivals, exact=by_reference(ours), copied=True)


MAKERS: dict[str, Maker] = {
    "sparsemax": _map,
    "entmax": _map,
    "sparsemax_loss": _loss,
    "entmax_loss": _loss,
}
