import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.KeypointNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    images, points = torch.randn(2, 3, 6, 9), torch.rand(2, 4, 2)
    return Drive(net, images, F.l1_loss, points, step=lambda: half.train_step(net, optimizer, images, points))


def symptom(half):
    return bool(half.spatial_softmax(torch.full((1, 1, 2, 2), 100.0)).isnan().any())
