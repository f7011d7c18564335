import torch
from torch import nn


class StopOrGoOn(nn.Module):
    """Whether the match of each keypoint is final, so that later layers need not look at it."""

    def __init__(self, size):
        super().__init__()
        self.confidence = nn.Sequential(nn.Linear(size, 1), nn.Flatten(-2), nn.Sigmoid())
        self.criterion = nn.BCEWithLogitsLoss()

    def forward(self, keypoints):
        return self.confidence(keypoints)

    def loss(self, keypoints, is_final):
        confidence = self(keypoints.detach())
        return self.criterion(confidence, is_final.to(confidence.dtype))


class MatcherLayer(nn.Module):
    def __init__(self, size=8):
        super().__init__()
        self.update = nn.GRUCell(size, size)
        self.exit = StopOrGoOn(size)

    def forward(self, keypoints, others):
        near = torch.softmax(keypoints @ others.mT, dim=-1) @ others
        return self.update(near.flatten(0, 1), keypoints.flatten(0, 1)).view_as(keypoints)


def train_exit(layer, optimizer, keypoints, others, is_final):
    loss = layer.exit.loss(layer(keypoints, others), is_final)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
