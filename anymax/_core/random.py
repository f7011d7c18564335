"""Random words that depend on a seed and an element's index alone: Philox4x32-10.

The word of element i is word i mod 4 of the block cipher at counter i // 4 under the seed, so it is the same for any
number of threads, any split of the work, any strides and any backend.
Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from anymax._core.context import is_eager, is_exporting, transforms_active
from anymax._core.dispatch import Choice
from anymax._core.errors import CALLER
from anymax._core.library import LIBRARY, define
from anymax._core.native import CpuKernel

Generator = torch.Generator | Tensor | None

LOW_32 = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10


def _randint(generator: torch.Generator | None) -> Tensor:
    return torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64, generator=generator)


# Registered and tagged, so that compiled code draws the same seeds as eager code after one manual_seed. No tensor among
# the arguments tells a tracer which kernel to take, so that a kernel for meta tensors would never be asked.
LIBRARY.define("draw_seed(Generator? generator) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
LIBRARY.impl("draw_seed", _randint, "CompositeExplicitAutograd")
torch.library.register_fake("anymax::draw_seed", lambda generator: torch.empty((), dtype=torch.int64), lib=LIBRARY)
_draw_seed = torch.ops.anymax.draw_seed.default


def check_generator(generator: object) -> None:
    """`generator` must be None, a CPU torch.Generator, or a 0-d int64 tensor that is the seed."""
    if generator is None:
        return
    # the tensor first: Dynamo of torch 2.15 cannot ask whether a tensor is a Generator
    if isinstance(generator, Tensor):
        if generator.dtype != torch.int64 or generator.ndim != 0:
            raise ValueError(
                f"{CALLER}: a tensor as generator is the seed and must be 0-d int64, "
                f"got {generator.dtype} of shape {tuple(generator.shape)}"
            )
    elif isinstance(generator, torch.Generator):
        if generator.device.type != "cpu":
            raise ValueError(
                f"{CALLER}: generator must live on the CPU, from which seeds are drawn for every device, "
                f"got one on {generator.device}; write torch.Generator()"
            )
    else:
        raise TypeError(
            f"{CALLER}: generator must be a torch.Generator, a 0-d int64 tensor (the seed) or None, "
            f"got {generator!r} of type {type(generator).__name__}"
        )


def seed_from(generator: Generator) -> Tensor:
    """A 0-d int64 seed: the tensor itself, or one drawn from the generator (None: torch's default CPU generator)."""
    if isinstance(generator, Tensor):
        return generator
    if transforms_active() or is_eager():
        # under vmap torch's own random op knows what `randomness` asks for; without a trace nothing needs an op of ours
        return _randint(generator)
    return _draw_seed(generator)


def words(seed: Tensor, shape: Sequence[int], device: torch.device) -> Tensor:
    """The words of elements 0, 1, 2, ... in row-major order: int64 in [0, 2^32), of `shape`."""
    return WORDS(seed, shape, device)


def words_of_each(seeds: Tensor, shape: Sequence[int]) -> Tensor:
    """The words of `shape` under each of a vector of seeds, on their device."""
    return WORDS(seeds, shape, seeds.device)


def _philox(seeds: Tensor, shape: Sequence[int], device: torch.device) -> Tensor:
    """Philox4x32-10 in int64 tensor arithmetic; the axes of the seeds come first."""
    count = math.prod(shape)
    counter = torch.arange((count + 3) // 4, device=device)
    seeds = seeds.to(device).unsqueeze(-1)
    key = [seeds & LOW_32, (seeds >> 32) & LOW_32]
    zero = torch.zeros_like(counter)
    block = [counter & LOW_32, counter >> 32, zero, zero]
    for _ in range(ROUNDS):
        # both factors are below 2^32; the product wraps in int64 and keeps all its 64 bits
        first, second = block[0] * MULTIPLIERS[0], block[2] * MULTIPLIERS[1]
        block = [
            ((second >> 32) & LOW_32) ^ block[1] ^ key[0],
            second & LOW_32,
            ((first >> 32) & LOW_32) ^ block[3] ^ key[1],
            first & LOW_32,
        ]
        key = [(part + step) & LOW_32 for part, step in zip(key, KEY_STEPS, strict=True)]
    found = torch.stack(block, -1).flatten(-2)
    # torch.export cannot prove for any size that a cut stays inside, so there the words are looked up
    if is_exporting():
        found = found.index_select(-1, torch.arange(count, device=device))
    else:
        found = found[..., :count]
    return found.reshape((*seeds.shape[:-1], *shape))


_RANDOM_WORDS = define(
    "random_words(Tensor seeds, SymInt count) -> Tensor",
    lambda seeds, count: seeds.new_empty((seeds.numel(), count)),
)


class _Words(CpuKernel):
    def __call__(self, seeds: Tensor, shape: Sequence[int], device: torch.device) -> Tensor:
        found = _RANDOM_WORDS(seeds.contiguous(), math.prod(shape))
        return found.view((*seeds.shape, *shape))

    def cannot(self, seeds: Tensor, shape: Sequence[int], device: torch.device) -> str | None:
        if reason := self.refuses(seeds):
            return reason
        return None if device.type == "cpu" else f"it is for words on the CPU, got {device}"


WORDS = Choice("random.words", _philox, (_Words(),))


def exponential(words: Tensor, dtype: torch.dtype) -> Tensor:
    """A standard exponential variate per word, never 0 and never infinite: in [1.2e-10, 22.9]."""
    # The half below 2^31 is measured from 0 and the other from 1, so that both tails keep their digits.
    lower = words < 2**31
    fraction = (torch.where(lower, words, LOW_32 - words).to(dtype) + 0.5) * 2.0**-32
    return -torch.where(lower, torch.log1p(-fraction), torch.log(fraction))


def gumbel(words: Tensor, dtype: torch.dtype) -> Tensor:
    """A standard Gumbel variate per word: in [-3.13, 22.88]."""
    return -torch.log(exponential(words, dtype))
