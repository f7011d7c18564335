"""Draws by the CPU kernels: the classes, times and log-probabilities that the reference draws, bit for bit."""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax._core.native import native
from anymax.testing.inputs import seed

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

# powers from a law whose head takes all to one whose classes share their cumulative probabilities with neighbours
LAWS = {
    "one class": lambda: noise.Uniform(1),
    "uniform": lambda: noise.Uniform(1000),
    "uniform, most classes": lambda: noise.Uniform(2**31),
    "log-uniform, one class": lambda: noise.LogUniform(1),
    "log-uniform": lambda: noise.LogUniform(100_000),
    "log-uniform, most classes": lambda: noise.LogUniform(2**31),
    "unigram": lambda: noise.Unigram(torch.rand(5000, generator=torch.Generator().manual_seed(0))),
    "unigram, one class": lambda: noise.Unigram([2.0]),
    "unigram with gaps": lambda: noise.Unigram([0, 1, 0, 0, 5, 1, 0, 0]),
    "unigram, steep": lambda: noise.Unigram(torch.arange(1, 41).double() ** -2.5),
    "unigram, flat": lambda: noise.Unigram(torch.ones(100_000)),
    "unigram over 300 decades": lambda: noise.Unigram(10.0 ** torch.linspace(-300, 0, 5000, dtype=torch.float64)),
}


def reference(function, *args, **options):
    with anymax.use_backend("reference"):
        return function(*args, **options)


# a block of the kernel has 128 draws
@pytest.mark.parametrize("size", [1, 2, 127, 128, 129, 50_000, (0, 3), (3, 5), (2, 2, 130)], ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_draws_are_those_of_the_reference(law, size):
    law = LAWS[law]()
    for value in (0, -1, 2**40 + 17):
        mine = law.sample(size, generator=seed(value))
        theirs = reference(law.sample, size, generator=seed(value))
        assert torch.equal(mine.ids, theirs.ids)
        assert_close(mine.log_expected_count, theirs.log_expected_count, rtol=4e-15, atol=4e-15)


@pytest.mark.parametrize("size", [1, 17, 150, (0, 3), (40, 3)], ids=str)
@pytest.mark.parametrize("law", LAWS)
def test_unique_draws_are_those_of_the_reference(law, size):
    law = LAWS[law]()
    count = size if isinstance(size, int) else size[-1]
    if count >= law.support:
        pytest.skip("no fewer than there are classes")
    for value in (0, -1, 2**40 + 17):
        mine = law.sample(size, unique=True, generator=seed(value))
        theirs = reference(law.sample, size, unique=True, generator=seed(value))
        assert torch.equal(mine.arrivals, theirs.arrivals)
        assert_close(mine.times, theirs.times, rtol=1e-14, atol=0)
        assert_close(mine.log_q, theirs.log_q, rtol=4e-15, atol=4e-15)


@pytest.mark.parametrize("counts", ["flat", "steep", "with gaps"])
def test_the_guide_encloses_the_class_of_every_point(counts):
    """At each cumulative probability, and just below and above it."""
    weights = {
        "flat": torch.ones(999),
        "steep": torch.arange(1, 1000).double() ** -3,
        "with gaps": (torch.arange(999) % 7 == 3).double(),
    }[counts]
    law = noise.Unigram(weights)
    cumulative = law._current().cumulative
    edges = (cumulative / cumulative[-1] * 2**53).long()
    for step in (-2, -1, 0, 1, 2):
        grid = (edges + step).clamp(0, 2**53 - 1)
        point = (grid.double() * 2.0**-53) * cumulative[-1]
        guide, count = law.form().guide.long(), len(weights)
        interval = (point * (count / cumulative[-1])).long()
        found = torch.searchsorted(cumulative, point, right=True)
        assert bool(((guide[interval] <= found) & (found <= guide[interval + 1])).all())


def test_draws_do_not_depend_on_threads():
    def drawn(law) -> list[Tensor]:
        pair, race = law.sample(20_000, generator=seed(3)), law.sample((300, 20), unique=True, generator=seed(3))
        return [pair.ids, pair.log_expected_count, race.arrivals, race.times, race.log_q]

    threads = torch.get_num_threads()
    for name in ("uniform", "log-uniform", "unigram"):
        law, found = LAWS[name](), []
        try:
            for count in (1, 2, 4):
                torch.set_num_threads(count)
                found.append(drawn(law))
        finally:
            torch.set_num_threads(threads)
        for other in found[1:]:
            assert all(torch.equal(mine, theirs) for mine, theirs in zip(found[0], other, strict=True))


def test_the_guide_follows_the_probabilities_and_is_no_state():
    law = LAWS["unigram"]()
    assert set(law.state_dict()) == {"probabilities"}
    copies = [copy.deepcopy(law), pickle.loads(pickle.dumps(law))]
    for other in (law, *copies):
        with torch.no_grad():
            other.probabilities.copy_(torch.softmax(torch.linspace(-9, 0, 5000).double(), 0))
        mine, theirs = (
            run(other.sample, 5000, generator=seed(1)) for run in (lambda f, *a, **k: f(*a, **k), reference)
        )
        assert torch.equal(mine.ids, theirs.ids)
        assert mine.ids.double().mean() > 4000


@pytest.mark.parametrize("weights", ["flat", "zipf"])
def test_cumulative_probabilities_are_exact_to_12_places(weights):
    count = 3_000_000
    counts = torch.ones(count) if weights == "flat" else 1 / torch.arange(1, count + 1).double()
    law = noise.Unigram(counts)
    cumulative = law._current().cumulative
    places = [0, 1, 4095, 4096, 4097, 1_234_567, count - 2, count - 1]
    probabilities = (law.probabilities / law.probabilities.sum()).tolist()
    for place in places:
        assert abs(cumulative[place].item() - math.fsum(probabilities[: place + 1])) < 1e-12
    assert bool((cumulative[1:] >= cumulative[:-1]).all())


def test_who_draws_can_be_asked():
    class Half(noise.Uniform):
        def ids_of(self, words):
            return super().ids_of(words) // 2

    def answer(law, **options):
        features, target = torch.zeros(3, 2), torch.tensor([1, 2, 3])
        return anymax.explain_backend(
            anymax.sampled_softmax_loss, features, torch.zeros(1000, 2), target, law, num_noise=4, **options
        )

    assert "noise.first_arrivals:\n  cpu: taken" in answer(noise.Uniform(1000))
    assert "noise.with_replacement:\n  cpu: taken" in answer(noise.Uniform(1000), unique=False)
    reason = "cpu: not taken, it does not know the law Half"
    assert f"noise.with_replacement:\n  {reason}" in answer(Half(1000), unique=False)
    with anymax.use_backend("cpu"), pytest.raises(NotImplementedError, match="does not know the law Half"):
        Half(10).sample(4)
