"""Targets of every integer dtype mean the same, and a value that no dtype of theirs can hold ignores nothing."""

import pytest
import torch
from torch.testing import assert_close

import anymax
from anymax import noise
from anymax._core import targets
from anymax.testing.inputs import randn

UNSIGNED = (torch.uint8, torch.uint16, torch.uint32, torch.uint64)
SIGNED = (torch.int8, torch.int16, torch.int32, torch.int64)
# -100 in a narrow dtype, and ids that its comparisons with the number of classes would wrap
IDS = [156, 3, 0, 255]


LOSSES = {
    "cross_entropy": lambda ids, classes: anymax.cross_entropy(randn(len(ids), classes), ids, reduction="none"),
    "log_prob": lambda ids, classes: anymax.log_prob(randn(len(ids), classes), ids).log_prob,
    "linear_cross_entropy": lambda ids, classes: anymax.linear_cross_entropy(
        randn(len(ids), 3), randn(classes, 3), ids, reduction="none"
    ),
    "linear_log_prob": lambda ids, classes: anymax.linear_log_prob(randn(len(ids), 3), randn(classes, 3), ids).log_prob,
    "nce_loss": lambda ids, classes: anymax.nce_loss(
        randn(len(ids), 3), randn(classes, 3), ids, noise.Uniform(classes), generator=torch.tensor(1), reduction="none"
    ),
    "negative_sampling_loss": lambda ids, classes: anymax.negative_sampling_loss(
        randn(len(ids), 3), randn(classes, 3), ids, noise.Uniform(classes), generator=torch.tensor(1), reduction="none"
    ),
    "info_nce": lambda ids, classes: anymax.info_nce(randn(len(ids), 3), randn(classes, 3), ids, reduction="none"),
    "sampled_softmax_loss": lambda ids, classes: anymax.sampled_softmax_loss(
        randn(len(ids), 3), randn(classes, 3), ids, noise.All(classes), reduction="none"
    ),
    "Noise.log_prob": lambda ids, classes: noise.LogUniform(classes).log_prob(ids),
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@EVERY_LOSS
@pytest.mark.parametrize("dtype", UNSIGNED, ids=str)
@pytest.mark.parametrize("num_classes", [256, 300])
def test_unsigned_ids_are_the_same_ids(loss, dtype, num_classes):
    ids = torch.tensor(IDS)
    expected = loss(ids, num_classes)
    assert (expected != 0).all()
    assert_close(loss(ids.to(dtype), num_classes), expected)


@EVERY_LOSS
@pytest.mark.parametrize(("dtype", "num_classes"), [(torch.int8, 128), (torch.int8, 300), (torch.int16, 2**15)])
def test_narrow_ids_work_with_more_classes_than_they_can_count(loss, dtype, num_classes):
    ids = torch.tensor([3, 100, 0])
    assert_close(loss(ids.to(dtype), num_classes), loss(ids, num_classes))


@pytest.mark.parametrize("dtype", UNSIGNED[:1] + SIGNED, ids=str)
def test_an_ignore_index_that_the_dtype_cannot_hold_ignores_nothing(dtype):
    ids = torch.tensor([44, 3])
    rows = anymax.cross_entropy(randn(2, 100), ids.to(dtype), ignore_index=300, reduction="none")
    assert_close(rows, anymax.cross_entropy(randn(2, 100), ids, reduction="none"))
    assert (rows != 0).all()


def test_an_unsigned_id_beyond_int64_is_out_of_range_and_not_ignored():
    beyond = torch.tensor([2**64 - 100], dtype=torch.uint64)
    with pytest.raises(ValueError, match="target ids must be in"):
        anymax.cross_entropy(randn(1, 5), beyond)


def test_candidates_take_ids_of_any_integer_dtype():
    for dtype in (torch.uint8, torch.int16):
        ids = torch.tensor([200 if dtype is torch.uint8 else 3, 1], dtype=dtype)
        draws = noise.Candidates(
            ids,
            torch.zeros(2),
            target_log_expected_count=lambda target: torch.zeros_like(target.double()),
            unique=False,
        )
        assert draws.ids.dtype == torch.int64
        assert draws.ids.tolist() == ids.tolist()


def test_the_values_of_targets_are_read_only_where_something_went_wrong(monkeypatch):
    read = []
    monkeypatch.setattr(
        "anymax._core.targets.simplex_rows", lambda *args: read.append(args) or torch.ones(1, dtype=torch.bool)
    )
    has_nan = targets.has_nan
    monkeypatch.setattr(targets, "has_nan", lambda loss: read.append("loss") or has_nan(loss))
    anymax.cross_entropy(randn(2, 5), torch.tensor([0, 1]), label_smoothing=0.1)
    assert read == ["loss"]
