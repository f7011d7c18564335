import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    net = half.DigitNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    batch = torch.randn(6, 1, 6, 6), torch.tensor([0, 1, 2, 3, 4, 0])
    return Drive(net, batch[0], F.cross_entropy, batch[1], step=lambda: half.train(net, optimizer, [batch]))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(5) - 1e-3, steps=100)
