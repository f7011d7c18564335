"""Mixture: the law that it claims, draws that follow it, and its laws as submodules."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.testing import assert_close

from anymax import noise
from anymax.noise import draws
from anymax.testing.inputs import seed
from tests.noise.test_noise import chi_square_p, law_of


def make() -> noise.Mixture:
    return noise.Mixture([noise.Unigram([0, 3, 1, 0, 0, 6]), noise.Uniform(6)], [3, 1])


def test_its_probabilities_are_the_sums_of_its_laws():
    expected = 0.75 * torch.tensor([0.0, 0.3, 0.1, 0.0, 0.0, 0.6]) + 0.25 / 6
    assert_close(law_of(make()), expected.double(), rtol=1e-7, atol=0)
    alone = noise.Mixture([noise.LogUniform(1000)], torch.tensor([2.0]))
    assert_close(law_of(alone), law_of(noise.LogUniform(1000)), rtol=1e-14, atol=0)
    # in logs, where a sum of probabilities has underflown
    tiny = noise.Mixture([noise.Unigram([1.0, 0.0]), noise.Unigram([1.0, 1e-200])], [1, 1e-200])
    assert tiny.log_prob(torch.tensor([1])).item() == pytest.approx(-400 * 2.302585, rel=1e-6)


def test_every_law_keeps_its_first_and_last_class():
    law = noise.Mixture([noise.Uniform(7), noise.Uniform(7)], [1, 3])
    starts = torch.tensor([0.0, 0.25 - 2.0**-53, 0.25, 1 - 2.0**-53], dtype=torch.float64)
    assert law.ids_of(draws.words_at(starts)).tolist() == [0, 6, 0, 6]
    # and a law of weight 0 is never asked
    never = noise.Mixture([noise.Unigram([1, 0]), noise.Unigram([0, 1])], [1, 0])
    numbers = torch.tensor([0.0, 0.999, 1 - 2.0**-53], dtype=torch.float64)
    assert never.ids_of(draws.words_at(numbers)).tolist() == [0, 0, 0]
    assert never.log_prob(torch.tensor([0, 1])).tolist() == [0.0, -float("inf")]


def test_words_of_a_number_give_it_back():
    numbers = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(draws.uniform(draws.words_at(numbers)), numbers)


def test_a_law_of_little_weight_still_draws_all_its_classes():
    law = noise.Mixture([noise.Unigram([1] + [0] * 40), noise.Uniform(41)], [0.98, 0.02])
    count = 200_000
    observed = law.sample(count, generator=seed(3)).ids.bincount(minlength=41)
    assert chi_square_p(observed, law_of(law) * count) > 1e-3


def test_mixtures_nest_and_draw_without_replacement():
    inner = make()
    law = noise.Mixture([inner, noise.Unigram([1, 0, 0, 0, 0, 0])], [0.5, 0.5])
    assert_close(law_of(law), (law_of(inner) + torch.eye(6)[0]) / 2)
    rows = 100_000
    ids = law.sample((rows, 2), unique=True, generator=seed(4)).ids
    q = law_of(law)
    expected = (q[:, None] * q / (1 - q)[:, None]).fill_diagonal_(0).flatten() * rows
    assert chi_square_p((ids[:, 0] * 6 + ids[:, 1]).bincount(minlength=36), expected) > 1e-3


def test_its_support_is_what_any_of_its_laws_draws():
    assert make().support == 6
    law = noise.Mixture([noise.Unigram([1, 0, 0, 2]), noise.Unigram([1, 1, 0, 0])], [1, 1])
    assert law.support == 3
    assert noise.Mixture([noise.Unigram([1, 0]), noise.Uniform(2)], [1, 0]).support == 1
    with pytest.raises(ValueError, match=r"3 unique draws are not fewer than the 3 classes that Mixture can draw"):
        law.sample(3, unique=True)


def test_its_laws_are_submodules():
    law = make()
    other = noise.Mixture([noise.Unigram([1] * 6), noise.Uniform(6)], [1, 1])
    other.load_state_dict(law.state_dict())
    assert torch.equal(law_of(other), law_of(law))
    twin = copy.deepcopy(law)
    learned = noise.LearnedUnigram(6)
    mixed = noise.Mixture([learned, noise.Uniform(6)], [1, 1])
    learned.update(torch.tensor([2] * 6))
    assert mixed.log_prob(torch.tensor([2])).exp().item() == pytest.approx((7 / 12 + 1 / 6) / 2)
    law.laws[0].probabilities.fill_(1 / 6)
    assert not torch.equal(law_of(twin), law_of(law))
    assert "weights=[0.75, 0.25]" in repr(law)


def test_without_weights_it_says_so():
    with torch.device("meta"):
        kept, lost = (
            noise.Mixture([noise.Uniform(3), noise.LogUniform(3)], weights) for weights in ([3, 1], torch.ones(2))
        )
    kept.to_empty(device="cpu")
    assert_close(law_of(kept).sum(), torch.tensor(1.0).double())
    with pytest.raises(ValueError, match=r"Mixture\.sample: Mixture holds no weights: it was made on the meta device"):
        lost.sample(2)
    lost.to_empty(device="cpu").load_state_dict(kept.state_dict())
    assert torch.equal(law_of(lost), law_of(kept))
    kept.weights.fill_(7.0)
    with pytest.raises(ValueError, match="Mixture holds no weights"):
        kept.sample(2)
    kept.reset_parameters()
    assert torch.equal(law_of(lost), law_of(kept))


UNIFORM = noise.Uniform(3)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], []), ValueError, r"Mixture: laws must be at least one, over the same number of classes"),
        (
            ([UNIFORM, noise.Uniform(4)], [1, 1]),
            ValueError,
            r"laws must be at least one, over the same number of class",
        ),
        (([UNIFORM, torch.ones(3)], [1, 1]), TypeError, r"Mixture: laws must be laws .*, got one of type Tensor"),
        (([noise.All(3)], [1]), TypeError, r"that draw at random, got one of type All"),
        (([noise.InBatch(UNIFORM)], [1]), TypeError, r"that draw at random, got one of type InBatch"),
        (([UNIFORM], [1, 1]), ValueError, r"weights must have one entry per law, shape \(1,\), got \(2,\)"),
        (
            ([UNIFORM, UNIFORM], [1, -1]),
            ValueError,
            r"weights must be at least 0, finite, and not all 0, got \[1\.0, -",
        ),
        (([UNIFORM, UNIFORM], [0, 0]), ValueError, r"weights must be at least 0, finite, and not all 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        noise.Mixture(*arguments)
    assert "\n" not in str(raised.value)
