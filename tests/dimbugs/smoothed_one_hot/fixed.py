"""Fine-tunes a small network on photographs of leaves, with smoothed labels."""

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    num_classes: int = 7
    lb_smooth: float = 0.1
    lr: float = 0.05
    weight_decay: float = 1e-4


class SmoothCrossEntropyLoss(nn.Module):
    def __init__(self, label_smoothing: float = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        num_classes = input.size(-1)
        if target.dim() == 1:  # class indices
            target = F.one_hot(target, num_classes).to(input.dtype)
        if self.label_smoothing > 0:
            share = self.label_smoothing / num_classes
            target = target * (1.0 - self.label_smoothing) + share
        return F.cross_entropy(input, target)


def build_model(conf: Config) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, conf.num_classes),
    )


def run_epoch(model, loader, loss_fn, optimizer=None):
    for data, label in loader:
        loss = loss_fn(model(data), label)
        if optimizer is not None:
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5)
            optimizer.step()
    return loss


def train_and_eval(conf: Config, model, train_loader, valid_loader):
    criterion = SmoothCrossEntropyLoss(conf.lb_smooth) if conf.lb_smooth > 0 else nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), conf.lr, momentum=0.9, weight_decay=conf.weight_decay)
    loss = run_epoch(model.train(), train_loader, criterion, optimizer)
    with torch.no_grad():
        run_epoch(model.eval(), valid_loader, nn.CrossEntropyLoss())
    return loss
