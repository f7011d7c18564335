import torch
from torch import nn


class Critic(nn.Module):
    """Says of an image whether it is real, and what it shows."""

    def __init__(self, num_classes=5, width=8):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=4),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
        )
        self.real = nn.Linear(4 * width, 1)
        self.shown = nn.Sequential(nn.Linear(4 * width, num_classes), nn.LogSoftmax(dim=1))

    def forward(self, images):
        seen = self.look(images)
        return self.real(seen).squeeze(1), self.shown(seen)


class CriticLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.judge = nn.BCEWithLogitsLoss()
        self.classify = nn.NLLLoss()

    def forward(self, opinion, is_real, labels):
        real, shown = opinion
        return self.judge(real, is_real) + self.classify(shown, labels)


def improve(critic, optimizer, images, is_real, labels):
    optimizer.zero_grad()
    loss = CriticLoss()(critic(images), is_real, labels)
    loss.backward()
    optimizer.step()
    return loss
