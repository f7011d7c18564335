import torch
from torch import nn

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.make_net()
    inputs, targets = torch.randn(4, 3, 8, 8), torch.tensor([3, 0, 4, 1])
    run = Drive(net, inputs, nn.CrossEntropyLoss(), targets)
    run.step = lambda: half.train(1, net, [(inputs, targets)])
    return run


def symptom(half):
    return half.count_correct(torch.eye(4), torch.arange(4)) < 4
