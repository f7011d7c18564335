"""What output heads answer: features in, scores or a loss out, so that one can be swapped for another.

Every head has `head(input) -> scores`, as the `nn.Linear` whose place it takes, `head(input, target) -> loss`,
`log_prob(input) -> (..., C)`, `predict(input, k)` and `sample(input, ...)`. `eval()` changes none of them.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from anymax._core.random import Generator
from anymax.ops.gumbel.api import sample


class Head(nn.Module):
    """The answers of a head, made from its `log_prob`."""

    # nn.Module says Any
    __call__: Callable[..., Tensor]

    def log_prob(self, input: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a head must define log_prob")

    def predict(self, input: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """The k largest log-probabilities and their class ids, (..., k) each, as in torch.topk."""
        values, indices = self.log_prob(input).topk(k, -1)
        return values, indices

    def sample(
        self,
        input: Tensor,
        num_samples: int | None = None,
        *,
        temperature: float | Tensor = 1.0,
        generator: Generator = None,
    ) -> Tensor:
        """Class ids drawn from softmax(log_prob / temperature); `num_samples` adds a first axis."""
        return sample(self.log_prob(input), -1, num_samples=num_samples, temperature=temperature, generator=generator)
