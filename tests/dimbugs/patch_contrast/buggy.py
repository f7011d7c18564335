import torch
import torch.nn.functional as F
from torch import nn


class PatchEncoder(nn.Module):
    """A unit vector for each patch of an image."""

    def __init__(self, pixels=12, width=8):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(pixels, 16), nn.ReLU(), nn.Linear(16, width))

    def forward(self, patches):
        return F.normalize(self.project(patches), dim=-1)


class PatchContrastiveLoss(nn.Module):
    """A patch of the translated image should find the patch at the same place of the original."""

    def __init__(self, temperature=0.07):
        super().__init__()
        self.temperature = temperature
        self.softmax = nn.Softmax(dim=1)

    def forward(self, translated, original):
        images, places, _ = translated.shape
        logits = torch.bmm(translated, original.transpose(1, 2)) / self.temperature
        logits = self.softmax(logits.view(images * places, places))
        label = torch.arange(places, device=logits.device).repeat(images)
        return F.nll_loss(logits, label)


def train_step(encoder, criterion, optimizer, translated, original):
    loss = criterion(encoder(translated), encoder(original).detach())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
