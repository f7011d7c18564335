"""Random words by the CPU kernel: those of the reference, bit for bit."""

import pytest
import torch

import anymax
from anymax._core import random
from anymax._core.native import native
from anymax.ops.gumbel.api import gumbel_softmax_loss
from anymax.testing.inputs import seed

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

CPU = torch.device("cpu")
SEEDS = (0, 1, -1, 2**33 + 5, -(2**62))
# up to several vectors of any instruction set, and around a block of 1024
COUNTS = (*range(70), 127, 128, 129, 255, 257, 1023, 1024, 1025, 5000)


def agree(value, count):
    mine = random.words(seed(value), (count,), CPU)
    assert torch.equal(mine, random._philox(seed(value), (count,), CPU)), (value, count)


@pytest.mark.parametrize("value", SEEDS)
def test_words_are_those_of_the_reference(value):
    for count in COUNTS:
        agree(value, count)


def test_a_vector_of_seeds_has_words_of_each():
    seeds = torch.tensor(SEEDS + SEEDS)[::2]
    for shape in ((7, 300), (5,), (0, 3), ()):
        found = random.words_of_each(seeds, shape)
        assert found.shape == (len(seeds), *shape)
        for value, mine in zip(seeds, found, strict=True):
            assert torch.equal(mine, random.words(value, shape, CPU))
    assert random.words_of_each(seeds[:0], (3, 4)).shape == (0, 3, 4)


def test_words_do_not_depend_on_threads():
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(random.words_of_each(torch.tensor(SEEDS), (100_001,)))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[1], found[0])
    assert torch.equal(found[2], found[0])


def test_compiled_code_has_the_same_words_for_any_count():
    compiled = torch.compile(
        lambda value, x: random.words(value, x.shape, x.device), fullgraph=True, backend="aot_eager"
    )
    for rows in (5, 7, 130):
        x = torch.zeros(rows, 9)
        # a trace for 5 rows alone would be an error
        torch._dynamo.mark_dynamic(x, 0)
        assert torch.equal(compiled(seed(3), x), random.words(seed(3), x.shape, CPU))


def test_a_batch_of_seeds_under_vmap_is_the_reference_s():
    seeds = torch.tensor(SEEDS)
    found = torch.vmap(lambda value: random.words(value, (6, 7), CPU))(seeds)
    assert torch.equal(found, random.words_of_each(seeds, (6, 7)))


def test_who_makes_the_words_can_be_asked():
    x, target = torch.zeros(3, 4), torch.tensor([0, 1, 2])
    assert "random.words:\n  cpu: taken" in anymax.explain_backend(gumbel_softmax_loss, x, target)
