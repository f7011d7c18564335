import torch

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.PenguinNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    data = torch.randn(12, 4)
    target = data[:, :3].argmax(1)
    step = lambda: half.train_batch(model, data, target, optimizer)  # noqa: E731
    return Drive(model, data, half.loss_criteria, target, step=step)


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3))
