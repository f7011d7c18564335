import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    model, criterion, optimizer = half.setup()
    ids, labels = torch.randint(0, 30, (4, 6)), torch.tensor([0, 3, 1, 2])
    step = (model, criterion, optimizer, ids, labels)
    return Drive(model, ids, F.cross_entropy, labels, step=lambda: half.train_step(*step))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(4) - 1e-3)
