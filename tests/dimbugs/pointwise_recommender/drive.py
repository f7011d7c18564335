import torch
from torch import nn

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.NeuMF(users=5, items=7)
    user, item = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]), torch.tensor([0, 1, 2, 3, 4, 5, 6, 0])
    label = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    step = lambda: model.fit_batch(user, item, label)  # noqa: E731
    return Drive(model, (user, item), nn.BCEWithLogitsLoss(), label, step=step)


def symptom(half):
    """A score between 0 and 1 costs at least 0.69 for an item without a click and 0.31 for one with."""
    return stays_above(drive(half).step, 0.5)
