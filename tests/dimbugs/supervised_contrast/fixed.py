import torch
import torch.nn as nn


class SupConLoss(nn.Module):
    """Pulls the views of one class together; with two views per sample and all of them as anchors."""

    def __init__(self, temperature: float = 0.07, base_temperature: float = 0.07):
        super().__init__()
        self.temperature = temperature
        self.base_temperature = base_temperature

    def forward(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        views = features.shape[1]
        labels = labels.repeat(views).view(-1, 1)
        anchors = torch.cat(torch.unbind(features, dim=1), dim=0)
        logits = anchors @ anchors.T / self.temperature

        itself = torch.eye(len(anchors), dtype=torch.bool, device=features.device)
        mask = torch.eq(labels, labels.T) & ~itself

        log_prob = torch.log_softmax(logits.masked_fill(itself, -torch.inf), dim=1)

        mean_log_prob_pos = torch.where(mask, log_prob, 0).sum(1) / mask.sum(1)
        return -(self.temperature / self.base_temperature) * mean_log_prob_pos.mean()


def build_encoder(inputs=6, width=16, features=4):
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Linear(width, features))


def train(encoder, criterion, optimizer, first, second, labels):
    images = torch.cat([first, second], dim=0)
    f1, f2 = torch.split(encoder(images), [len(labels), len(labels)], dim=0)
    loss = criterion(torch.stack([f1, f2], dim=1), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
