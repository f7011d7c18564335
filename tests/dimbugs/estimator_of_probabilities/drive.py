import torch

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    net = half.make_classifier()
    net.initialize()
    inputs, labels = torch.randn(8, 6), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    return Drive(net.module_, inputs, net.criterion_, labels, step=lambda: net.train_step(inputs, labels))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3) - 1e-3, steps=150)
