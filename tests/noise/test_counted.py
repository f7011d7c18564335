"""LearnedUnigram: counts that change by `update` alone, and draws that follow them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax.testing.inputs import seed


def law_of(law: noise.Noise) -> Tensor:
    return law.log_prob(torch.arange(law.num_classes)).exp()


# ------------------------------------------------------------------------------------------- facts of TensorFlow's


def test_before_the_first_update_all_classes_are_alike():
    assert_close(law_of(noise.LearnedUnigram(10)), torch.full((10,), 0.1, dtype=torch.float64), rtol=0, atol=1e-16)


def test_ten_threes():
    law = noise.LearnedUnigram(10)
    for _ in range(10):
        law.update(torch.tensor([3]))
    expected = torch.full((10,), 0.05, dtype=torch.float64)
    expected[3] = 0.55
    assert_close(law_of(law), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_class_n_seen_n_times(dtype):
    law = noise.LearnedUnigram(10)
    law.update(torch.arange(10).repeat_interleave(torch.arange(10)).reshape(9, 5).to(dtype))
    assert_close(law_of(law), torch.arange(1, 11).double() / 55, rtol=0, atol=1e-15)


# ------------------------------------------------------------------------------------------------ when it changes


def test_only_update_changes_it_and_the_next_draw_follows():
    law, counts = noise.LearnedUnigram(50), torch.zeros(50).double()
    for step in range(3):
        for unique in (False, True):
            drawn = law.sample(4, unique=unique, generator=seed(step))
            expected = noise.Unigram(counts + 1).sample(4, unique=unique, generator=seed(step))
            assert torch.equal(drawn.ids, expected.ids)
            assert_close(drawn.log_expected_count, expected.log_expected_count)
        # neither draws nor losses count anything
        anymax.nce_loss(torch.ones(3, 2), torch.ones(50, 2), torch.tensor([1, 2, 3]), law)
        assert torch.equal(law.counts, counts)
        ids = torch.randint(50, (2, 20), generator=torch.Generator().manual_seed(step))
        law.update(ids)
        counts += ids.flatten().bincount(minlength=50)
        assert torch.equal(law.counts, counts)


def test_the_tables_are_made_at_the_first_draw_after_an_update(monkeypatch):
    law, made = noise.LearnedUnigram(50), []
    make = law._renew
    monkeypatch.setattr(law, "_renew", lambda: made.append(1) or make())
    law.sample(3)
    assert made == []
    for _ in range(3):
        law.update(torch.tensor([7]))
    assert made == []
    law.sample(3)
    law.log_prob(torch.tensor([1]))
    assert made == [1]


def test_compiled_draws_follow_updates_without_a_new_trace():
    law = noise.LearnedUnigram(50)
    compiles = []

    def backend(graph, inputs):
        compiles.append(graph)
        return graph.forward

    compiled = torch.compile(lambda at: law.sample(40, generator=at).ids, backend=backend, fullgraph=True)
    for step in range(3):
        assert torch.equal(compiled(seed(step)), law.sample(40, generator=seed(step)).ids)
        law.update(torch.tensor([step] * 500))
    assert (law.sample(40, generator=seed(9)).ids < 3).sum() > 30
    assert len(compiles) == 1


def test_an_update_inside_compiled_code_counts():
    law = noise.LearnedUnigram(5)
    torch.compile(law.update, backend="aot_eager", fullgraph=True)(torch.tensor([1, 1, 4]))
    assert law.counts.tolist() == [0, 2, 0, 0, 1]
    # an id that cannot be read is not counted in silence
    torch.compile(law.update, backend="aot_eager", fullgraph=True)(torch.tensor([1, -100, 4]))
    with pytest.raises(ValueError, match="LearnedUnigram holds no counts"):
        law.sample(2)


# ---------------------------------------------------------------------------------------------------------- state


def test_its_state_goes_on_where_it_stopped():
    law, other = noise.LearnedUnigram(6), noise.LearnedUnigram(6)
    law.update(torch.tensor([5, 5, 0]))
    other.sample(2)
    other.load_state_dict(law.state_dict())
    assert torch.equal(law_of(other), law_of(law))
    twin = copy.deepcopy(law)
    law.update(torch.tensor([5]))
    for copied in (other, twin):
        assert copied.counts.tolist() == [1, 0, 0, 0, 0, 2]
        copied.reset_parameters()
        assert copied.counts.tolist() == [0] * 6
        assert_close(law_of(copied), torch.full((6,), 1 / 6).double())


def test_casts_leave_large_counts_alone():
    law = noise.LearnedUnigram(3)
    with torch.no_grad():
        law.counts.copy_(torch.tensor([2.0**40 + 1, 65537, 0], dtype=torch.float64))
    model = nn.ModuleDict({"noise": law, "linear": nn.Linear(1, 1)}).half().to(torch.bfloat16)
    assert model["noise"].counts.tolist() == [2.0**40 + 1, 65537, 0]


def test_made_on_the_meta_device_it_starts_as_any_other():
    with torch.device("meta"):
        law = noise.LearnedUnigram(4)
    law.to_empty(device="cpu").update(torch.tensor([2]))
    assert law.counts.tolist() == [0, 0, 1, 0]
    law.to("meta")
    with pytest.raises(ValueError, match=r"LearnedUnigram\.sample: LearnedUnigram holds no counts: it was made on the"):
        law.sample(2)


@pytest.mark.parametrize("memory", [0.5, 1e-310, float("nan"), -1.0, -2.0, float("inf"), 1e300])
def test_memory_that_nobody_filled_is_no_law(memory):
    law = noise.LearnedUnigram(4)
    law.counts.fill_(memory)
    with pytest.raises(ValueError, match=r"LearnedUnigram holds no counts: .* call its reset_parameters"):
        law.sample(2)
    law.reset_parameters()
    assert law.sample(2, generator=seed(0)).ids.shape == (2,)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (
            torch.tensor([1, -100]),
            ValueError,
            r"LearnedUnigram\.update: ids must be in \[0, 3\], got -100; write",
        ),
        (torch.tensor([4]), ValueError, r"ids must be in \[0, 3\], got 4"),
        (torch.tensor([1.0]), TypeError, r"LearnedUnigram\.update: ids must hold class ids \(integers\)"),
    ],
)
def test_bad_ids_are_one_sentence_and_count_nothing(ids, error, message):
    law = noise.LearnedUnigram(4)
    with pytest.raises(error, match=message):
        law.update(ids)
    assert law.counts.tolist() == [0] * 4
