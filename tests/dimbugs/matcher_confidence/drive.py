import torch
from torch import nn

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    layer = half.MatcherLayer()
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.2)
    keypoints, others = torch.randn(3, 5, 8), torch.randn(3, 6, 8)
    is_final = keypoints[..., 0] > 0
    run = Drive(layer.exit, keypoints, nn.BCEWithLogitsLoss(), is_final.float())
    run.step = lambda: half.train_exit(layer, optimizer, keypoints, others, is_final)
    return run


def symptom(half):
    return stays_above(drive(half).step, 0.45)
