import torch

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    session = half.Session(half.CONFIG)
    clips, labels = torch.randn(4, 5, 3, 8, 8), torch.tensor([0, 3, 1, 2])
    return Drive(session.model, clips, session.criterion, labels, step=lambda: session.forward_step(clips, labels))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(4) - 1e-3)
