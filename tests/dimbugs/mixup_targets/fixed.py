import torch
from torch import nn
from torch.nn import functional as F


class Mixup:
    """Mixes each sample with the next one of the batch."""

    def __init__(self, num_classes, alpha=0.4):
        self.num_classes = num_classes
        self.beta = torch.distributions.Beta(alpha, alpha)

    def __call__(self, images, labels):
        lam = self.beta.sample().item()
        partner = torch.roll(torch.arange(len(images)), 1)
        first = F.one_hot(labels, self.num_classes).float()
        second = first[partner]
        mixed = lam * images + (1 - lam) * images[partner]
        return mixed, lam * first + (1 - lam) * second


class SmallCNN(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.fc = nn.Linear(8, num_classes)

    def forward(self, images):
        return self.fc(F.relu(self.conv(images)).mean(dim=(2, 3)))


def train_one_epoch(model, loader, optimizer, mixup, criterion=None):
    criterion = criterion or nn.CrossEntropyLoss()
    for images, labels in loader:
        images, targets = mixup(images, labels)
        loss = criterion(model(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss
