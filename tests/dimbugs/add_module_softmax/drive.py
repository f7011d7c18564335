import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    net = half.stack([5, 16, 3])
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    x, y = torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    return Drive(net, x, F.cross_entropy, y, step=lambda: half.learn(net, optimizer, x, y))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3) - 1e-3)
