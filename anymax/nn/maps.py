"""Modules over the maps: each stores its arguments and calls the function of the same name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anymax._core.dims import Dim
from anymax._core.random import Generator
from anymax.nn._arguments import describe, store
from anymax.ops.entmax.api import entmax, sparsemax
from anymax.ops.entropy.api import entropy
from anymax.ops.gumbel.api import gumbel_softmax
from anymax.ops.gumbel.reference import STRAIGHT_THROUGH
from anymax.ops.rectified.api import relumax, softpick, taylor_softmax
from anymax.ops.softmax.api import log_softmax, logsumexp, softmax, softmin


class _SoftmaxFamily(nn.Module):
    """dim, temperature and sink; a tensor becomes a buffer, a Parameter stays one."""

    temperature: float | Tensor
    sink: float | Tensor | None

    def __init__(
        self, dim: Dim | None = None, *, temperature: float | Tensor = 1.0, sink: float | Tensor | None = None
    ) -> None:
        super().__init__()
        self.dim = dim
        store(self, "temperature", temperature)
        store(self, "sink", sink)

    def extra_repr(self) -> str:
        return describe(self, "dim", "temperature", "sink")


class Softmax(_SoftmaxFamily):
    """:func:`anymax.softmax` as a module.

    Args:
        dim, temperature, sink: as in the function. A Parameter learns, a tensor becomes a buffer.

    Shape:
        input and mask as in the function; the output has the input's shape.

    Example:
        >>> anymax.nn.Softmax(dim=1)(torch.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return softmax(input, self.dim, temperature=self.temperature, mask=mask, sink=self.sink)


class Softmin(_SoftmaxFamily):
    """:func:`anymax.softmin` as a module; arguments as :class:`Softmax`.

    Example:
        >>> anymax.nn.Softmin(dim=0)(torch.tensor([0.0, 99.0]))
        tensor([1., 0.])
    """

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return softmin(input, self.dim, temperature=self.temperature, mask=mask, sink=self.sink)


class LogSoftmax(_SoftmaxFamily):
    """:func:`anymax.log_softmax` as a module; arguments as :class:`Softmax`.

    Example:
        >>> anymax.nn.LogSoftmax(dim=1)(torch.zeros(1, 2))
        tensor([[-0.6931, -0.6931]])
    """

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return log_softmax(input, self.dim, temperature=self.temperature, mask=mask, sink=self.sink)


class Softmax2d(nn.Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W): one distribution per pixel, as torch's module.

    Raises:
        ValueError: for an input of any other rank.

    Example:
        >>> anymax.nn.Softmax2d()(torch.zeros(1, 2, 1, 1)).flatten()
        tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (3, 4):
            raise ValueError(
                f"Softmax2d: input must be (N, C, H, W) or (C, H, W), got shape {tuple(input.shape)}; "
                "anymax.nn.Softmax(dim=...) takes any shape"
            )
        return softmax(input, -3)


class LogSumExp(nn.Module):
    """:func:`anymax.logsumexp` as a module.

    Args:
        dim, keepdim, sink: as in the function. A Parameter learns, a tensor becomes a buffer.

    Example:
        >>> anymax.nn.LogSumExp(dim=0)(torch.zeros(2))
        tensor(0.6931)
    """

    sink: float | Tensor | None

    def __init__(self, dim: Dim, keepdim: bool = False, *, sink: float | Tensor | None = None) -> None:
        super().__init__()
        self.dim = dim
        self.keepdim = keepdim
        store(self, "sink", sink)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return logsumexp(input, self.dim, self.keepdim, mask=mask, sink=self.sink)

    def extra_repr(self) -> str:
        return describe(self, "dim", "keepdim", "sink")


class Entropy(nn.Module):
    """:func:`anymax.entropy` as a module.

    Args:
        dim, temperature: as in the function. A Parameter learns, a tensor becomes a buffer.

    Shape:
        input and mask as in the function; the output has the input's shape without `dim`.

    Example:
        >>> anymax.nn.Entropy(dim=1)(torch.zeros(1, 2))
        tensor([0.6931])
    """

    temperature: float | Tensor

    def __init__(self, dim: Dim, *, temperature: float | Tensor = 1.0) -> None:
        super().__init__()
        self.dim = dim
        store(self, "temperature", temperature)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return entropy(input, self.dim, temperature=self.temperature, mask=mask)

    def extra_repr(self) -> str:
        return describe(self, "dim", "temperature")


class Sparsemax(nn.Module):
    """:func:`anymax.sparsemax` as a module.

    Args:
        dim, temperature: as in the function. A Parameter learns, a tensor becomes a buffer.

    Shape:
        input and mask as in the function; the output has the input's shape.

    Example:
        >>> anymax.nn.Sparsemax(dim=0)(torch.tensor([0.5, 0.0, -2.0]))
        tensor([0.7500, 0.2500, 0.0000])
    """

    temperature: float | Tensor

    def __init__(self, dim: Dim, *, temperature: float | Tensor = 1.0) -> None:
        super().__init__()
        self.dim = dim
        store(self, "temperature", temperature)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return sparsemax(input, self.dim, temperature=self.temperature, mask=mask)

    def extra_repr(self) -> str:
        return describe(self, "dim", "temperature")


class Entmax(nn.Module):
    """:func:`anymax.entmax` as a module.

    Args:
        dim, alpha, temperature: as in the function. A Parameter learns, a tensor becomes a buffer.

    Shape:
        input and mask as in the function; the output has the input's shape.

    Example:
        >>> anymax.nn.Entmax(dim=0)(torch.tensor([1.0, 2.0, 3.0]))
        tensor([0.0000, 0.1693, 0.8307])
    """

    alpha: float | Tensor
    temperature: float | Tensor

    def __init__(self, dim: Dim, *, alpha: float | Tensor = 1.5, temperature: float | Tensor = 1.0) -> None:
        super().__init__()
        self.dim = dim
        store(self, "alpha", alpha)
        store(self, "temperature", temperature)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return entmax(input, self.dim, alpha=self.alpha, temperature=self.temperature, mask=mask)

    def extra_repr(self) -> str:
        return describe(self, "dim", "alpha", "temperature")


class Relumax(nn.Module):
    """:func:`anymax.relumax` as a module.

    Args:
        dim, bias: as in the function. A Parameter learns, a tensor becomes a buffer.

    Example:
        >>> anymax.nn.Relumax(dim=1)(torch.tensor([[3.0, 1.0, -1.0]]))
        tensor([[0.7500, 0.2500, 0.0000]])
    """

    bias: float | Tensor

    def __init__(self, dim: Dim, *, bias: float | Tensor = 0.0) -> None:
        super().__init__()
        self.dim = dim
        store(self, "bias", bias)

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return relumax(input, self.dim, bias=self.bias, mask=mask)

    def extra_repr(self) -> str:
        return describe(self, "dim", "bias")


class Softpick(nn.Module):
    """:func:`anymax.softpick` as a module; `dim` as in the function.

    Example:
        >>> anymax.nn.Softpick(dim=1)(torch.tensor([[1.0, 0.0]]))
        tensor([[1., 0.]])
    """

    def __init__(self, dim: Dim) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return softpick(input, self.dim, mask=mask)

    def extra_repr(self) -> str:
        return describe(self, "dim")


class TaylorSoftmax(nn.Module):
    """:func:`anymax.taylor_softmax` as a module; `dim` and `order` as in the function.

    Example:
        >>> anymax.nn.TaylorSoftmax(dim=1)(torch.tensor([[0.0, 2.0]]))
        tensor([[0.1667, 0.8333]])
    """

    def __init__(self, dim: Dim, *, order: int = 2) -> None:
        super().__init__()
        self.dim = dim
        self.order = order

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        return taylor_softmax(input, self.dim, order=self.order, mask=mask)

    def extra_repr(self) -> str:
        return describe(self, "dim", "order")


class GumbelSoftmax(nn.Module):
    """:func:`anymax.gumbel_softmax` as a module: it samples in training and in eval mode alike.

    A noise-free answer is `anymax.softmax(logits, dim)`, or `logits.argmax(dim)`.

    Args:
        tau: temperature. A number becomes a buffer, so that a schedule can move it (`module.tau.fill_(0.5)`) and
            `state_dict` keeps it; a Parameter learns.
        hard, dim, estimator, num_samples: as in the function.

    Example:
        >>> module = anymax.nn.GumbelSoftmax(hard=True, dim=1)
        >>> module(torch.zeros(2, 3)).sum(1)
        tensor([1., 1.])
        >>> list(module.state_dict())
        ['tau']
    """

    tau: Tensor

    def __init__(
        self,
        tau: float | Tensor = 1.0,
        hard: bool = False,
        dim: Dim | None = None,
        *,
        estimator: str = STRAIGHT_THROUGH,
        num_samples: int | None = None,
    ) -> None:
        super().__init__()
        store(self, "tau", tau if isinstance(tau, Tensor) else torch.tensor(float(tau)))
        self.hard = hard
        self.dim = dim
        self.estimator = estimator
        self.num_samples = num_samples

    def forward(self, logits: Tensor, mask: Tensor | None = None, generator: Generator = None) -> Tensor:
        return gumbel_softmax(
            logits,
            self.tau,
            self.hard,
            dim=self.dim,
            mask=mask,
            generator=generator,
            estimator=self.estimator,
            num_samples=self.num_samples,
        )

    def extra_repr(self) -> str:
        return describe(self, "tau", "hard", "dim", "estimator", "num_samples")
