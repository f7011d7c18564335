"""The CPU kernel of ldam_loss: that of cross_entropy, for scores with margins."""

from __future__ import annotations

from torch import Tensor

from anymax._core.dims import Dims
from anymax._core.native import CpuKernel
from anymax.ops.cross_entropy.cpu import CrossEntropy
from anymax.ops.cross_entropy.reference import Options
from anymax.ops.imbalance.reference import with_margins


class Ldam(CpuKernel):
    cross_entropy = CrossEntropy()

    def __call__(
        self,
        input: Tensor,
        target: Tensor,
        class_counts: Tensor,
        dims: Dims,
        max_margin: float,
        scale: float,
        options: Options,
        reduction: str,
    ) -> Tensor:
        scores = with_margins(input, target, class_counts, dims, max_margin, scale, options.ignore_index)
        return self.cross_entropy(scores, target, dims, options, reduction)

    def cannot(
        self,
        input: Tensor,
        target: Tensor,
        class_counts: Tensor,
        dims: Dims,
        max_margin: float,
        scale: float,
        options: Options,
        reduction: str,
    ) -> str | None:
        return self.refuses(class_counts) or self.cross_entropy.cannot(input, target, dims, options, reduction)
