import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    mapper = half.LandCover()
    images, truth = torch.randn(2, 3, 6, 10), torch.randint(0, 4, (2, 6, 10))
    return Drive(mapper.net, images, F.cross_entropy, truth, step=lambda: mapper.learn(images, truth))


def symptom(half):
    scores = F.one_hot(torch.arange(4), 4).float().T.reshape(1, 4, 2, 2)
    return half.LandCover().agreement(scores, torch.arange(4).reshape(1, 2, 2)) < 1
