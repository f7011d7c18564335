"""keep_mask: top-k, top-p and min-p, alone and together."""

import pytest
import torch

import anymax

INFINITY = float("inf")


def law(*probs):
    return torch.tensor(probs, dtype=torch.float64).log()


def kept(scores, **rules):
    return anymax.keep_mask(scores, -1, **rules).nonzero().flatten().tolist()


def test_top_k_keeps_exactly_k_and_breaks_ties_by_index():
    assert kept(torch.tensor([1.0, 3.0, 2.0]), top_k=2) == [1, 2]
    assert kept(torch.zeros(5), top_k=2) == [0, 1]
    assert kept(torch.zeros(3), top_k=9) == [0, 1, 2]


def test_top_p_keeps_the_fewest_that_reach_it():
    scores = law(0.5, 0.25, 0.125, 0.125)
    assert kept(scores, top_p=0.5) == [0]
    assert kept(scores, top_p=0.51) == [0, 1]
    assert kept(scores, top_p=1e-9) == [0]
    assert kept(scores, top_p=1.0) == [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_top_p_keeps_k_of_n_equal_classes_for_k_nths(dtype):
    for n in range(1, 60):
        scores = torch.full((n,), 0.3, dtype=dtype)
        for k in range(1, n + 1):
            assert len(kept(scores, top_p=k / n)) == k, (k, n)


def test_top_p_of_one_keeps_whatever_has_a_chance():
    assert kept(torch.tensor([20.0, 0.0]), top_p=1.0) == [0, 1]
    assert kept(torch.tensor([0.0, -800.0, -INFINITY]), top_p=1.0) == [0, 1]
    # the largest stays, however small top_p is
    assert kept(torch.zeros(50), top_p=1e-300) == [0]


def test_min_p_is_relative_to_the_largest():
    scores = law(0.4, 0.3, 0.2, 0.1)
    assert kept(scores, min_p=0.5) == [0, 1, 2]
    assert kept(scores, min_p=1.0) == [0]
    assert kept(scores, min_p=0.0) == [0, 1, 2, 3]


def test_rules_act_one_after_the_other():
    scores = law(0.4, 0.3, 0.2, 0.1)
    # of the two that top_k leaves, 4/7 of the mass is the first's
    assert kept(scores, top_k=2, top_p=0.57) == [0]
    assert kept(scores, top_k=2, top_p=0.58) == [0, 1]
    assert kept(scores, top_p=0.9, min_p=0.6) == [0, 1]


def test_any_axis_and_any_order():
    scores = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    mask = anymax.keep_mask(scores, 1, top_k=4, top_p=0.8)
    assert torch.equal(mask, anymax.keep_mask(scores, "a [class] b", top_k=4, top_p=0.8))
    assert torch.equal(mask.movedim(1, -1), anymax.keep_mask(scores.movedim(1, -1), -1, top_k=4, top_p=0.8))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(mask[:, order], anymax.keep_mask(scores[:, order], 1, top_k=4, top_p=0.8))


def test_what_has_no_probability_is_never_kept():
    scores = torch.tensor([[0.0, -INFINITY, 1.0], [float("nan"), 0.0, 1.0], [INFINITY, 0.0, 1.0], [-INFINITY] * 3])
    mask = anymax.keep_mask(scores, 1, top_k=3)
    assert mask.tolist() == [[True, False, True], [False] * 3, [False] * 3, [False] * 3]
    assert anymax.keep_mask(torch.zeros(0, 3), 1, top_k=1).shape == (0, 3)
    assert anymax.keep_mask(torch.zeros(3, 0), 1, top_k=1, top_p=0.5, min_p=0.1).shape == (3, 0)


def test_the_mask_goes_into_sample():
    scores = torch.randn(50, 20, generator=torch.Generator().manual_seed(2))
    mask = anymax.keep_mask(scores, 1, top_k=3)
    ids = anymax.sample(scores, 1, mask=mask, num_samples=40, generator=torch.tensor(1))
    assert mask.expand(40, 50, 20).gather(2, ids.unsqueeze(2)).all()


@pytest.mark.parametrize(
    ("rules", "error", "words"),
    [
        ({}, ValueError, "at least one of top_k, top_p and min_p"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
        ({"top_k": 2.0}, TypeError, "top_k must be an int"),
        ({"top_p": 0.0}, ValueError, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 90}, ValueError, r"top_p must be in \(0, 1\], got 90"),
        ({"min_p": -0.1}, ValueError, r"min_p must be in \[0, 1\], got -0.1"),
    ],
)
def test_bad_rules_are_told_what_was_expected(rules, error, words):
    with pytest.raises(error, match=words):
        anymax.keep_mask(torch.zeros(2, 3), 1, **rules)
