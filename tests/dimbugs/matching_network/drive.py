import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    net = half.FewShot()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    labelled, labels = torch.randn(4, 3, 6), torch.tensor([[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 2, 1]])
    truth = torch.tensor([0, 1, 2, 1])
    new = labelled[torch.arange(4), (labels == truth[:, None]).int().argmax(1)]
    inputs = (labelled, labels, new)
    return Drive(net, inputs, F.cross_entropy, truth, step=lambda: half.episode(net, optimizer, *inputs, truth))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3) - 1e-3)
