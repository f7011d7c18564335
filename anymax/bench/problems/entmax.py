"""sparsemax, entmax and their losses, against the sort that other implementations are made of."""

from __future__ import annotations

import torch
from torch import Tensor

import anymax
from anymax.bench.cases import Case
from anymax.bench.problems.problem import Maker, Problem, by_reference, scores


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


def _sparsemax(case: Case) -> Problem:
    def ours(x: Tensor) -> Tensor:
        return anymax.sparsemax(x, 1)

    return Problem(
        (scores(case),), ours, {"torch": _sorted_sparsemax}, exact=by_reference(ours), batch_axis=0, copied=True
    )


def _entmax(case: Case) -> Problem:
    def ours(x: Tensor) -> Tensor:
        return anymax.entmax(x, 1)

    return Problem(
        (scores(case),), ours, {"torch": _sorted_entmax}, exact=by_reference(ours), batch_axis=0, copied=True
    )


def _sparsemax_loss(case: Case) -> Problem:
    target = torch.randint(case.shape[1], case.shape[:1])

    def ours(x: Tensor) -> Tensor:
        return anymax.sparsemax_loss(x, target)

    def composed(x: Tensor) -> Tensor:
        probs = _sorted_sparsemax(x)
        own = x.gather(1, target[:, None])
        return ((probs * (x - own)).sum(1) + (1 - probs.square().sum(1)) / 2).mean()

    return Problem((scores(case),), ours, {"torch": composed}, exact=by_reference(ours), copied=True)


def _entmax_loss(case: Case) -> Problem:
    target = torch.randint(case.shape[1], case.shape[:1])

    def ours(x: Tensor) -> Tensor:
        return anymax.entmax_loss(x, target)

    def composed(x: Tensor) -> Tensor:
        probs = _sorted_entmax(x)
        own = x.gather(1, target[:, None])
        return ((probs * (x - own)).sum(1) + (1 - probs.pow(1.5).sum(1)) / 0.75).mean()

    return Problem((scores(case),), ours, {"torch": composed}, exact=by_reference(ours), copied=True)


MAKERS: dict[str, Maker] = {
    "sparsemax": _sparsemax,
    "entmax": _entmax,
    "sparsemax_loss": _sparsemax_loss,
    "entmax_loss": _entmax_loss,
}
