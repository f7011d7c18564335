"""The CPU kernel of keep_mask (cpu.cpp)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from anymax._core.library import define
from anymax._core.native import CpuKernel, result_like

_OP = define(
    "keep_mask(Tensor input, int axes, int top_k, float top_p, float min_p) -> Tensor",
    lambda input, *_: result_like(input, torch.bool),
)


class KeepMask(CpuKernel):
    def __call__(self, input: Tensor, axis: int, top_k: int | None, top_p: float | None, min_p: float | None) -> Tensor:
        # 0, 1 and 0 are no rules
        return _OP(input.detach(), 1 << axis, top_k or 0, 1.0 if top_p is None else float(top_p), float(min_p or 0))

    def cannot(self, input: Tensor, *rules: Any) -> str | None:
        return self.refuses_scores(input)
