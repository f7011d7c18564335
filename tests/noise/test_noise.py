"""Noise laws: what is drawn follows the law that is claimed, and draws know how they were drawn."""

from __future__ import annotations

import copy
import itertools
import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from anymax import noise
from anymax._core import random
from anymax.noise import draws
from anymax.testing.inputs import seed

# torch's own jvp decompositions are scripted when Dynamo meets the first vmap
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

COUNTS = torch.tensor([5.0, 0.0, 1.0, 30.0, 0.25, 12.0, 0.0, 3.0, 3.0, 7.0])


def learned() -> noise.LearnedUnigram:
    law = noise.LearnedUnigram(10)
    law.update(torch.arange(10).repeat_interleave(torch.arange(10)))
    return law


def mixture() -> noise.Mixture:
    return noise.Mixture([noise.Unigram(COUNTS), noise.LogUniform(10), noise.Unigram(COUNTS.flip(0))], [2, 0.5, 1])


LAWS = [
    pytest.param(lambda: noise.Uniform(12), id="Uniform"),
    pytest.param(lambda: noise.LogUniform(12), id="LogUniform"),
    pytest.param(lambda: noise.Unigram(COUNTS), id="Unigram"),
    pytest.param(lambda: noise.Unigram(COUNTS, power=0.75), id="Unigram-power"),
    pytest.param(learned, id="LearnedUnigram"),
    pytest.param(mixture, id="Mixture"),
]
# For k = 2 more than 32 classes take the race by tries; a law this steep makes many of its rows fall short.
STEEP = torch.arange(1, 41).double() ** -2.5
# Even in the tail a bin holds some draws, so that the statistic has the chi-square law.
SMALLEST_BIN = 20.0


def law_of(law: noise.Noise) -> Tensor:
    return law.log_prob(torch.arange(law.num_classes)).exp()


def chi_square_p(observed: Tensor, expected: Tensor) -> float:
    """P(a statistic at least as large) under the expected counts; where nothing is expected nothing may be seen."""
    assert bool((observed[expected == 0] == 0).all())
    observed, expected = observed[expected > 0], expected[expected > 0]
    assert expected.min() >= SMALLEST_BIN
    statistic = ((observed - expected) ** 2 / expected).sum()
    return torch.special.gammaincc(torch.tensor((len(expected) - 1) / 2.0).double(), statistic / 2).item()


def words_at(position: Tensor) -> Tensor:
    """The pair of words whose uniform is the position, in units of 2^-53."""
    return torch.stack([position >> 21, (position & (2**21 - 1)) << 11], -1)


# ---------------------------------------------------------------------------------------------- with replacement


@pytest.mark.parametrize("make", LAWS)
def test_probabilities_sum_to_one(make):
    law = make()
    assert_close(law_of(law).sum(), torch.tensor(1.0).double(), rtol=0, atol=1e-14)
    assert law.log_prob(torch.arange(law.num_classes)).dtype == torch.float64


@pytest.mark.parametrize("make", LAWS)
def test_draws_follow_the_law(make):
    law, count = make(), 100_000
    ids = law.sample(count, generator=seed(1)).ids
    observed = ids.bincount(minlength=law.num_classes)
    assert chi_square_p(observed, law_of(law) * count) > 1e-3
    # and the test can tell: a tilt of a tenth is seen
    tilted = law_of(law) * torch.linspace(0.95, 1.05, law.num_classes)
    assert chi_square_p(observed, tilted / tilted.sum() * count) < 1e-6


@pytest.mark.parametrize("num_classes", [1, 2, 1000, 2**25 + 3, 2**31])
@pytest.mark.parametrize("law", [noise.Uniform, noise.LogUniform])
def test_first_and_last_class_are_reached_and_no_other(law, num_classes):
    extremes = torch.tensor([[0, 0], [random.LOW_32, random.LOW_32]])
    assert law(num_classes).ids_of(extremes).tolist() == [0, num_classes - 1]


@pytest.mark.parametrize("num_classes", [2**25 + 3, 2**31])
@pytest.mark.parametrize("make", [noise.Uniform, noise.LogUniform])
def test_draws_follow_the_law_beyond_2_to_the_24(make, num_classes):
    law, count = make(num_classes), 200_000
    ids = law.sample(count, generator=seed(2)).ids
    # the mass of [0, edge) in closed form
    if make is noise.Uniform:
        edges = torch.linspace(0, num_classes, 65).long()
        mass = edges.double() / num_classes
    else:
        edges = torch.cat([torch.logspace(0, torch.tensor(num_classes + 1.0).double().log2().item(), 65, 2.0).long()])
        edges = edges.unique() - 1
        mass = (edges + 1.0).double().log() / torch.tensor(num_classes + 1.0).double().log()
    mass[-1] = 1.0
    observed = torch.histogram(ids.double(), (edges - 0.5).double())[0]
    expected = mass.diff() * count
    assert chi_square_p(observed, expected) > 1e-3
    assert int((ids >= 2**24).sum()) > 1000


def test_every_class_of_log_uniform_has_the_width_of_its_probability():
    law = noise.LogUniform(10**7)
    classes = torch.cat([torch.arange(50), torch.arange(10**7 - 50, 10**7), torch.arange(0, 10**7, 10**5)])

    def first_position(id: Tensor) -> Tensor:
        """The smallest uniform that draws `id` or more, by bisection."""
        low, high = torch.zeros_like(id) - 1, torch.full_like(id, 2**53 - 1)
        for _ in range(54):
            middle = (low + high) // 2
            above = law.ids_of(words_at(middle.clamp(min=0))) >= id
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return high

    last = classes == 10**7 - 1
    until = torch.where(last, torch.tensor(2**53), first_position((classes + 1).clamp(max=10**7 - 1)))
    width = (until - torch.where(classes == 0, 0, first_position(classes))).double() * 2.0**-53
    assert_close(width, law.log_prob(classes).exp(), rtol=3e-6, atol=0)


def test_unigram_beyond_2_to_the_24():
    num_classes = 2**24 + 99
    counts = torch.zeros(num_classes, dtype=torch.uint8)
    counts[:1000], counts[2**23 + 5], counts[-2:] = 1, 250, 250
    law = noise.Unigram(counts)
    ids = law.sample(60_000, generator=seed(3)).ids
    bins = torch.stack(
        [(ids < 1000).sum(), (ids == 2**23 + 5).sum(), (ids == 2**24 + 97).sum(), (ids == 2**24 + 98).sum()]
    )
    assert int(bins.sum()) == 60_000
    assert chi_square_p(bins, torch.tensor([1000, 250, 250, 250]) / 1750 * 60_000) > 1e-3
    assert law.support == 1003


def test_unigram_holds_its_law_in_float64():
    counts = torch.rand(10_000, generator=torch.Generator().manual_seed(0)).double() ** 4
    law = noise.Unigram(counts, power=0.75)
    cumulative = law._current().cumulative
    widths = torch.cat([cumulative[:1], cumulative.diff()]) / cumulative[-1]
    expected = counts**0.75 / (counts**0.75).sum()
    assert_close(widths, expected, rtol=0, atol=1e-15)
    assert_close(law_of(law), expected, rtol=1e-12, atol=0)


def test_a_class_of_count_zero_is_never_drawn():
    law = noise.Unigram([0, 1, 0, 0, 2, 0])
    # every edge of the table, and its neighbours
    cumulative = law._current().cumulative
    edges = (cumulative / cumulative[-1] * 2.0**53).long()
    positions = (edges[:, None] + torch.arange(-3, 4)).clamp(0, 2**53 - 1)
    assert set(law.ids_of(words_at(positions)).flatten().tolist()) == {1, 4}
    assert law.log_prob(torch.tensor([0, 5])).tolist() == [-float("inf")] * 2


@pytest.mark.parametrize("law", [noise.Uniform, noise.LogUniform, noise.Unigram, noise.LearnedUnigram])
def test_a_class_derived_from_a_law_draws_its_own_way(law):
    """No kernel knows it."""

    class Mine(law):
        def ids_of(self, words: Tensor) -> Tensor:
            return torch.full_like(words[..., 0], 3)

    assert (Mine(COUNTS if law is noise.Unigram else 10).sample(50).ids == 3).all()


def test_power_and_dtype_of_counts():
    expected = torch.tensor([0.0, 1.0, 2.0, 3.0]) ** 0.5
    for counts in ([0, 1, 2, 3], torch.arange(4), torch.arange(4).half(), torch.arange(4).to(torch.uint8)):
        assert_close(law_of(noise.Unigram(counts, power=0.5)), (expected / expected.sum()).double())
    # a power of 0 is uniform over what occurs, not over what does not
    assert_close(law_of(noise.Unigram([0, 1, 9], power=0.0)), torch.tensor([0.0, 0.5, 0.5]).double())


def test_log_expected_count_is_that_of_the_number_of_draws():
    law = noise.Unigram(COUNTS)
    for size in (7, (3, 7)):
        candidates = law.sample(size, generator=seed(0))
        expected = 7 * law_of(law)
        assert_close(candidates.log_expected_count.exp(), expected[candidates.ids])
        classes = torch.tensor([0, 1, 3])
        assert_close(candidates.target_log_expected_count(classes).exp(), expected[classes])
        assert not candidates.unique


# ------------------------------------------------------------------------------------------- facts of TensorFlow's


def test_log_uniform_halves_when_the_rank_doubles():
    law = noise.LogUniform(10**6)
    ranks = torch.arange(50, 10**6 // 2, 997)
    ratio = (law.log_prob(2 * ranks) - law.log_prob(ranks)).exp()
    assert bool(((ratio - 0.5).abs() < 0.1).all())
    assert abs(law_of(law).sum().item() - 1) < 1e-4


def test_fixed_unigram_with_distortion():
    law = noise.Unigram([2**rank for rank in range(9)], power=0.8)
    assert_close(law_of(law), 2 ** (0.8 * torch.arange(9)).double() / 197.05, rtol=1e-4, atol=0)


def test_histogram_of_a_thousand_draws():
    law = noise.LogUniform(10)
    share = law.sample(1000, generator=seed(5)).ids.bincount(minlength=10) / 1000
    assert bool(((share - law_of(law)).abs() < 0.05).all())


def test_all_takes_every_class_once():
    candidates = noise.All(10).sample(10)
    assert candidates.ids.tolist() == list(range(10))
    assert candidates.log_expected_count.tolist() == [0.0] * 10
    assert candidates.target_log_expected_count(torch.tensor([3, 4])).tolist() == [0.0, 0.0]
    assert candidates.unique


def test_unique_half_of_a_hundred():
    law = noise.LogUniform(100)
    batches = [law.sample(50, unique=True, generator=seed(at)) for at in range(100)]
    for batch in batches:
        assert batch.ids.unique().numel() == 50
    classes = torch.arange(100)
    inclusion = torch.stack([batch.target_log_expected_count(classes).exp() for batch in batches])
    assert bool((inclusion[0] / inclusion[1]).log().abs().max() < 0.5)
    frequency = torch.stack([batch.ids.bincount(minlength=100) for batch in batches]).double().mean(0)
    assert bool(((frequency - inclusion.mean(0)).abs() < 0.2).all())


# --------------------------------------------------------------------------------------------------- unique draws


def pair_law(q: Tensor) -> Tensor:
    """P(first i, then j) of two draws without replacement."""
    return (q[:, None] * q / (1 - q)[:, None]).fill_diagonal_(0)


@pytest.mark.parametrize(("counts", "rows"), [(COUNTS, 100_000), (STEEP, 60_000)], ids=["all-run", "tries"])
def test_unique_draws_follow_the_law_of_drawing_one_after_the_other(counts, rows):
    law = noise.Unigram(counts)
    ids = law.sample((rows, 2), unique=True, generator=seed(4)).ids
    pairs = (ids[:, 0] * law.num_classes + ids[:, 1]).bincount(minlength=law.num_classes**2)
    expected = pair_law(law_of(law)).flatten() * rows
    # pairs too rare for a bin of their own share one
    rare = (expected < SMALLEST_BIN) & (expected > 0)
    observed = torch.cat([pairs[~rare], pairs[rare].sum()[None]])
    expected = torch.cat([expected[~rare], expected[rare].sum()[None]])
    keep = (expected >= SMALLEST_BIN) | (expected == 0)
    assert chi_square_p(observed[keep], expected[keep]) > 1e-3


def test_steep_laws_reach_both_parts_of_the_race(monkeypatch):
    completed = []
    complete = draws._completed
    monkeypatch.setattr(
        draws, "_completed", lambda law, *state: completed.append(len(state[0])) or complete(law, *state)
    )
    noise.Unigram(STEEP).sample((60_000, 2), unique=True, generator=seed(4))
    (short,) = completed
    # both kinds are many among the rows of the test above
    assert 3000 < short < 57_000
    completed.clear()
    noise.LogUniform(10**6).sample((100, 64), unique=True, generator=seed(4))
    assert completed == []


@pytest.mark.parametrize(("counts", "count"), [(COUNTS, 3), (STEEP, 2), (STEEP, 3)], ids=["all-run", "tries", "more"])
def test_arrival_times_have_the_law_of_the_race(counts, count):
    law, rows = noise.Unigram(counts), 20_000
    race = law.sample((rows, count), unique=True, generator=seed(6))
    q = law_of(law)
    assert bool((race.times.diff(dim=-1) > 0).all())
    # given who came before, the gap to the next arrival is exponential with the rate of those still running
    running = 1 - torch.cat([torch.zeros(rows, 1), q[race.arrivals].cumsum(-1)], -1)
    gaps = torch.cat([race.times[:, :1], race.times.diff(dim=-1)], -1) * running
    for column in gaps.unbind(-1):
        uniform = -torch.expm1(-column.sort().values)
        distance = (uniform - torch.arange(rows) / rows).abs().max().item()
        assert distance < 1.95 / rows**0.5  # Kolmogorov-Smirnov at 1e-3


@pytest.mark.parametrize("count", [1, 2, 5])
def test_inclusion_weights_make_sums_over_classes_unbiased(count):
    law = noise.Unigram(STEEP)
    terms = law_of(law) * torch.linspace(1, 3, law.num_classes).double()
    candidates = law.sample((20_000, count), unique=True, generator=seed(7))
    estimates = (terms[candidates.ids] / candidates.log_expected_count.exp()).sum(-1)
    assert abs(estimates.mean() - terms.sum()) < 4 * estimates.std() / len(estimates) ** 0.5


def test_unique_draws_are_distinct_at_any_size():
    for num_classes, count in itertools.product([3, 50, 5000], [1, 2, 40]):
        if count < num_classes:
            ids = noise.LogUniform(num_classes).sample((20, count), unique=True, generator=seed(8)).ids
            ordered = ids.sort(-1).values
            assert bool((ordered.diff(dim=-1) > 0).all())
            assert ids.min() >= 0
            assert ids.max() < num_classes


@pytest.mark.parametrize("padding", [0, 100])
def test_one_class_fewer_than_can_be_drawn(padding):
    law = noise.Unigram([4, 3, 2, 1] + [0] * padding)
    race = law.sample((50, 3), unique=True, generator=seed(9))
    assert bool(race.times[:, -1].isinf().all())
    assert bool(race.times[:, -2].isfinite().all())
    assert bool((race.arrivals.sort(-1).values == torch.arange(4)).all())


def test_as_many_unique_draws_as_classes_is_an_error_that_names_all():
    for law in (noise.Uniform(4), noise.Unigram([1, 0, 1, 1, 1])):
        with pytest.raises(ValueError, match=r"4 unique draws are not fewer than the 4 classes .* noise\.All\(\d\)"):
            law.sample(4, unique=True)


def test_tries_are_enough_for_ten_million_classes(monkeypatch):
    def forbidden(*_):
        raise AssertionError("a pass over all classes")

    monkeypatch.setattr(draws, "_all_classes", forbidden)
    for law in (noise.Uniform(10**7), noise.LogUniform(10**7)):
        assert law.sample(1000, unique=True, generator=seed(0)).ids.unique().numel() == 1000


# ----------------------------------------------------------------------------------------------------- randomness

ZIPF, UNIFORM, STEEP_LAW, STEEPER_LAW = (
    noise.LogUniform(5000),
    noise.Uniform(9),
    noise.Unigram(STEEP),
    noise.Unigram(STEEP**2),
)
LEARNED, MIXTURE = noise.LearnedUnigram(5000), noise.Mixture([ZIPF, noise.Uniform(5000)], [3, 1])
DRAWS = [
    pytest.param(lambda generator: ZIPF.sample((3, 4), generator=generator), id="replacement"),
    pytest.param(lambda generator: UNIFORM.sample(4, unique=True, generator=generator), id="all-run"),
    pytest.param(lambda generator: ZIPF.sample(4, unique=True, generator=generator), id="tries"),
    pytest.param(lambda generator: STEEPER_LAW.sample(2, unique=True, generator=generator), id="short"),
    pytest.param(lambda generator: STEEP_LAW.sample((6, 2), unique=True, generator=generator), id="rows"),
    pytest.param(lambda generator: LEARNED.sample(4, unique=True, generator=generator), id="learned"),
    pytest.param(lambda generator: MIXTURE.sample((3, 4), generator=generator), id="mixture"),
    pytest.param(lambda generator: MIXTURE.sample(4, unique=True, generator=generator), id="mixture-tries"),
]


def as_tensors(candidates: noise.Candidates) -> tuple[Tensor, Tensor, Tensor]:
    classes = torch.zeros(candidates.ids.shape[:-1], dtype=torch.int64)
    return candidates.ids, candidates.log_expected_count, candidates.target_log_expected_count(classes)


@pytest.mark.parametrize("draw", DRAWS)
def test_one_seed_one_draw(draw):
    def key(generator: torch.Generator | None) -> list[float]:
        ids, log_counts, _ = as_tensors(draw(generator))
        return [*ids.flatten().tolist(), *log_counts.flatten().tolist()]

    for value in (1, 12, 123, 1234):
        assert key(torch.Generator().manual_seed(value)) == key(torch.Generator().manual_seed(value))
    torch.manual_seed(3)
    first = key(None)
    assert first != key(None)
    torch.manual_seed(3)
    assert first == key(None)


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_do_not_depend_on_threads(draw):
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(as_tensors(draw(seed(11))))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            assert torch.equal(one, other)


def test_words_are_those_the_docstring_states():
    law, words = noise.LogUniform(5000), random.words(seed(5), (400, 2), torch.device("cpu"))
    assert torch.equal(law.sample((2, 3), generator=seed(5)).ids.flatten(), law.ids_of(words[:6]))
    # tries: pairs 0, 2, 4, ... give the classes, in the order of their arrival
    tried = law.ids_of(words[::2])[: 4 * 12].tolist()
    assert law.sample(10, unique=True, generator=seed(5)).ids.tolist() == list(dict.fromkeys(tried))[:10]


def exponential_of(high: int, low: int) -> float:
    """The exponential variate of 64 bits, by exact fractions up to the logarithm."""
    fraction = Fraction(2 * (high * 2**32 + low) + 1, 2**65)
    return -math.log1p(-float(fraction)) if fraction < Fraction(1, 2) else -math.log(float(1 - fraction))


def test_race_times_have_64_bits():
    words = torch.tensor([[0, 0], [0, 1], [5, 7], [2**31 - 1, 3], [2**31, 3], [random.LOW_32, random.LOW_32]])
    expected = torch.tensor([exponential_of(*pair) for pair in words.tolist()], dtype=torch.float64)
    assert_close(draws._exponential(words), expected, rtol=1e-15, atol=0)
    assert_close(expected[[0, -1]], torch.tensor([2.0**-65, 65 * math.log(2)], dtype=torch.float64), rtol=1e-15, atol=0)
    for value in range(5):
        # tries: two words for the class, two for the gap
        gap = random.words(seed(value), (1, 4), torch.device("cpu"))[0, 2:].tolist()
        first = ZIPF.sample(4, unique=True, generator=seed(value)).times[0].item()
        assert math.isclose(first, exponential_of(*gap), rel_tol=1e-14)
        # a pass over all classes: two words per class, under the row's seed
        (row_seed,) = draws._row_seeds(seed(value), 1, torch.device("cpu"))
        all_words = random.words(row_seed, (9, 2), torch.device("cpu")).tolist()
        first = UNIFORM.sample(4, unique=True, generator=seed(value)).times[0].item()
        assert math.isclose(first, 9 * min(exponential_of(*pair) for pair in all_words), rel_tol=1e-14)


@pytest.mark.parametrize("value", [0, -1, 4, 2**62])
def test_a_race_that_goes_on_has_words_of_its_own(value, monkeypatch):
    used = []
    words_of = random.words_of_each
    monkeypatch.setattr(random, "words_of_each", lambda seeds, shape: used.append(seeds) or words_of(seeds, shape))
    for law, size in ((STEEP_LAW, (400, 2)), (STEEPER_LAW, (1, 2)), (UNIFORM, (50, 3))):
        used.clear()
        law.sample(size, unique=True, generator=seed(value))
        (seeds,) = used
        # neither those of the tries, which the seed itself gives, nor those of another row
        assert value not in seeds.tolist()
        assert seeds.unique().numel() == seeds.numel() > 0


def test_seeds_have_64_bits():
    for generator in (None, torch.Generator().manual_seed(0)):
        torch.manual_seed(0)
        seeds = torch.stack([random.seed_from(generator) for _ in range(200)])
        bits = seeds.unsqueeze(1) >> torch.arange(64) & 1
        # 0.5 within five standard errors
        assert bool(((bits.double().mean(0) - 0.5).abs() < 5 * 0.5 / 200**0.5).all())


@pytest.mark.parametrize("draw", DRAWS)
def test_vmap_over_seeds_is_a_loop(draw):
    seeds = torch.arange(4)
    together = torch.vmap(lambda generator: as_tensors(draw(generator)))(seeds)
    for at, generator in enumerate(seeds):
        for whole, single in zip(together, as_tensors(draw(generator)), strict=True):
            assert_close(whole[at], single)


@pytest.mark.parametrize("unique", [False, True])
def test_vmap_randomness_means_what_it_says(unique):
    law = noise.LogUniform(5000)

    def ids(_: Tensor) -> Tensor:
        return law.sample(6, unique=unique).ids

    same = torch.vmap(ids, randomness="same")(torch.zeros(3))
    assert bool((same == same[0]).all())
    different = torch.vmap(ids, randomness="different")(torch.zeros(3))
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(ids)(torch.zeros(3))


@pytest.mark.parametrize("draw", DRAWS)
def test_compiled_draws_are_the_eager_ones(draw):
    torch.compiler.reset()
    compiled = torch.compile(lambda generator: as_tensors(draw(generator)), backend="aot_eager", fullgraph=True)
    for value in range(4):
        for one, other in zip(compiled(seed(value)), as_tensors(draw(seed(value))), strict=True):
            assert_close(one, other)


# -------------------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("make", [*LAWS, pytest.param(lambda: noise.All(12), id="All")])
@pytest.mark.parametrize("cast", ["half", "bfloat16", "float", "double"])
def test_casts_of_a_model_leave_its_law_alone(make, cast):
    law = make()
    model = nn.ModuleDict({"linear": nn.Linear(2, 2), "noise": copy.deepcopy(law)})
    for moved in (getattr(model, cast)(), model.to(torch.float16).to("cpu")):
        assert torch.equal(law_of(moved["noise"]), law_of(law))
        assert torch.equal(
            moved["noise"].sample(12, generator=None if isinstance(law, noise.All) else seed(1)).ids,
            law.sample(12, generator=None if isinstance(law, noise.All) else seed(1)).ids,
        )


@pytest.mark.parametrize("make", [*LAWS, pytest.param(lambda: noise.All(12), id="All")])
def test_laws_move_and_save_what_they_were_made_from(make):
    law = make()
    assert list(law.parameters()) == []
    if isinstance(law, noise.Unigram):
        assert_close(law.state_dict()["probabilities"], law_of(law))
    made_from = {
        noise.Unigram: ["probabilities"],
        noise.LearnedUnigram: ["counts"],
        noise.Mixture: ["weights", "laws.0.probabilities", "laws.2.probabilities"],
    }
    assert list(law.state_dict()) == made_from.get(type(law), [])
    assert all(tensor.dtype == torch.float64 for tensor in law.state_dict().values())
    assert law.device.type == "cpu"
    law.to("meta")
    assert law.device.type == "meta"
    assert all(buffer.device.type == "meta" for buffer in law.buffers())


OTHER = noise.Unigram([1.0, 9.0, 3.0, 2.0, 4.0, 0.5, 7.0, 0.0, 0.0, 1.0])


def set_directly(law):
    law.probabilities = OTHER.probabilities.clone()


def write_in_place(law):
    law.probabilities.copy_(OTHER.probabilities)


def give_other_memory(law):
    law.probabilities.data = OTHER.probabilities.clone()


def load(law):
    law.load_state_dict(OTHER.state_dict())


def load_by_assignment(law):
    law.load_state_dict(OTHER.state_dict(), assign=True)


@pytest.mark.parametrize("change", [set_directly, write_in_place, give_other_memory, load, load_by_assignment])
@pytest.mark.parametrize("law", [lambda: noise.Unigram(COUNTS), lambda: noise.Unigram(COUNTS, power=0.5)])
def test_a_draw_follows_the_probabilities_whoever_set_them(change, law):
    law = law()
    law.sample(3)
    change(law)
    assert torch.equal(law_of(law), law_of(OTHER))
    assert law.support == OTHER.support
    for unique in (False, True):
        drawn, expected = (each.sample(5, unique=unique, generator=seed(1)) for each in (law, OTHER))
        assert torch.equal(drawn.ids, expected.ids)
        assert torch.equal(drawn.log_expected_count, expected.log_expected_count)


@pytest.mark.parametrize("change", [set_directly, load, load_by_assignment])
def test_compiled_code_follows_the_probabilities_too(change):
    law = noise.Unigram(COUNTS)
    compiled = torch.compile(
        lambda generator: law.sample(50, generator=generator).ids, backend="aot_eager", fullgraph=True
    )
    assert torch.equal(compiled(seed(1)), law.sample(50, generator=seed(1)).ids)
    change(law)
    # before any eager draw, and after one
    assert torch.equal(compiled(seed(1)), OTHER.sample(50, generator=seed(1)).ids)
    law.sample(2)
    assert torch.equal(compiled(seed(2)), OTHER.sample(50, generator=seed(2)).ids)


def test_probabilities_that_went_through_a_half_type_still_sum_to_one():
    law = noise.Unigram(COUNTS)
    law.probabilities.copy_(law.probabilities.bfloat16())
    assert (law.probabilities.sum() - 1).abs() > 1e-4
    assert_close(law_of(law).sum(), torch.tensor(1.0).double(), rtol=0, atol=1e-14)


def test_a_law_starts_again_and_stays_apart_from_its_copies():
    law = noise.Unigram(COUNTS)
    twin, before = copy.deepcopy(law), law_of(law)
    for _ in range(2):
        law.reset_parameters()
        assert torch.equal(law_of(law), before)
    load(law)
    assert torch.equal(law_of(twin), before)
    law.reset_parameters()
    assert torch.equal(law_of(law), before)


def test_laws_are_made_on_the_meta_device():
    with torch.device("meta"):
        given, lost = noise.Unigram([3, 1]), noise.Unigram(torch.tensor([3, 1]))
        uniform = noise.Uniform(2)
    # numbers keep their values, and no step of a loader takes them away
    for law in (given, uniform):
        law.to_empty(device="cpu")
        law.sample(2, generator=seed(1))
    assert_close(law_of(given), torch.tensor([0.75, 0.25]).double())
    with pytest.raises(ValueError, match=r"Unigram\.sample: Unigram holds no probabilities: it was made on the meta"):
        lost.sample(2)
    lost.to_empty(device="cpu")
    with pytest.raises(ValueError, match=r"Unigram\.reset_parameters: there are no values in counts, made on the meta"):
        lost.reset_parameters()
    lost.load_state_dict(given.state_dict())
    assert torch.equal(law_of(lost), law_of(given))


@pytest.mark.parametrize("memory", [0.0, 1e-310, 4.0, float("nan"), -0.25])
def test_memory_that_nobody_filled_is_no_law(memory):
    law = noise.Unigram(COUNTS)
    law.probabilities = torch.full((10,), memory).double()
    with pytest.raises(ValueError, match="Unigram holds no probabilities"):
        law.sample(2)
    with pytest.raises(ValueError, match="Unigram holds no probabilities"):
        law.log_prob(torch.tensor([1]))
    law.reset_parameters()
    assert torch.equal(law_of(law), law_of(noise.Unigram(COUNTS)))


def test_a_steep_power_leaves_the_classes_that_have_a_probability():
    law = noise.Unigram([1.0, 2.0, 3.0], power=1e4)
    assert law_of(law).tolist() == [0.0, 0.0, 1.0]
    assert law.sample(2, generator=seed(0)).ids.tolist() == [2, 2]
    with pytest.raises(ValueError, match="2 unique draws are not fewer than the 1 classes that Unigram can draw"):
        law.sample(2, unique=True)
    assert_close(law_of(noise.Unigram([4.0, 4.0, 1.0], power=1.7e308)), torch.tensor([0.5, 0.5, 0.0]).double())


# --------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: noise.Uniform(2.5), TypeError, r"Uniform: num_classes must be an int, got 2\.5"),
        (lambda: noise.LogUniform(0), ValueError, r"LogUniform: num_classes must be at least 1, got 0"),
        (lambda: noise.Uniform(2**31 + 1), ValueError, r"Uniform: num_classes must be at most 2\*\*31"),
        (lambda: noise.Unigram([1.0, -1.0]), ValueError, r"Unigram: counts must be at least 0, finite, and not all 0"),
        (lambda: noise.Unigram([1.0, float("nan")]), ValueError, r"Unigram: counts must be at least 0, finite"),
        (lambda: noise.Unigram([0, 0]), ValueError, r"Unigram: counts must be at least 0, finite, and not all 0"),
        (lambda: noise.Unigram(torch.ones(2, 2)), ValueError, r"one entry per class, got shape \(2, 2\)"),
        (lambda: noise.Unigram([1, 2], power=-1.0), ValueError, r"Unigram: power must be at least 0, got -1\.0"),
        (lambda: noise.Unigram([1, 2], power=float("inf")), ValueError, r"Unigram: power must be finite, got inf"),
        (lambda: noise.Uniform(9).sample(2.0), TypeError, r"Uniform\.sample: size must be an int or a tuple of ints"),
        (lambda: noise.Uniform(9).sample((4, 0)), ValueError, r"must end in the number of draws, at least 1"),
        (lambda: noise.Uniform(9).sample(3, unique=1), TypeError, r"unique must be True or False, got 1"),
        (lambda: noise.Uniform(9).sample(3, generator=3), TypeError, r"Uniform\.sample: generator must be"),
        (lambda: noise.All(9).sample(3), ValueError, r"All takes all 9 classes, got a size of 3"),
        (lambda: noise.All(9).sample(9, generator=seed(0)), ValueError, r"generator has no effect on All"),
        (lambda: noise.Uniform(9).log_prob(torch.tensor([9])), ValueError, r"ids must be in \[0, 8\], got 9"),
        (lambda: noise.Uniform(9).log_prob(torch.tensor([1.0])), TypeError, r"class ids \(integers\), got torch\.fl"),
    ],
)
def test_bad_input_is_one_sentence(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_ids_out_of_range_are_nan_where_values_cannot_be_read():
    law = noise.Unigram(COUNTS)
    log_probs = torch.vmap(law.log_prob)(torch.tensor([-1, 3, 10]))
    assert log_probs.isnan().tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ids": torch.tensor([0.0])}, TypeError, r"ids must hold class ids \(integers\)"),
        ({"ids": torch.zeros(0, dtype=torch.int64)}, ValueError, r"at least one draw along the last axis"),
        ({"log_expected_count": torch.zeros(3)}, ValueError, r"must have the shape of ids \(2,\), got \(3,\)"),
        ({"target_log_expected_count": torch.zeros(2)}, TypeError, r"must be a function of class ids"),
        ({"unique": None}, TypeError, r"unique must be True or False"),
    ],
)
def test_candidates_by_hand_are_checked(change, error, message):
    arguments = {
        "ids": torch.tensor([0, 1]),
        "log_expected_count": torch.zeros(2),
        "target_log_expected_count": torch.zeros_like,
        "unique": False,
    }
    assert repr(noise.Candidates(**arguments)) == "Candidates(2 draws, with replacement, ids of shape (2,))"
    with pytest.raises(error, match=message):
        noise.Candidates(**{**arguments, **change})
