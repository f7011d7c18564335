import torch
from torch import nn
from torch.nn import functional as F


class GatherDistribute(nn.Module):
    """Gathers features over all positions and hands them back to each position."""

    def __init__(self, channels, mid_channels, descriptors):
        super().__init__()
        self.mid_channels = mid_channels
        self.descriptors = descriptors
        self.features = nn.Conv2d(channels, mid_channels, 1)
        self.gather = nn.Conv2d(channels, descriptors, 1)
        self.distribute = nn.Conv2d(channels, descriptors, 1)
        self.out = nn.Conv2d(mid_channels, channels, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        features = self.features(x).view(b, self.mid_channels, -1)
        gather = F.softmax(self.gather(x).view(b, self.descriptors, -1))
        distribute = F.softmax(self.distribute(x).view(b, self.descriptors, -1), dim=1)
        descriptors = torch.bmm(features, gather.permute(0, 2, 1))
        y = descriptors.matmul(distribute).view(b, self.mid_channels, h, w)
        return self.out(y)


class SmallNet(nn.Module):
    def __init__(self, num_classes=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.attention = GatherDistribute(8, 6, 5)
        self.head = nn.Linear(8, num_classes)

    def forward(self, images):
        x = F.relu(self.stem(images))
        x = x + self.attention(x)
        return self.head(x.mean(dim=(2, 3)))


def train_step(model, optimizer, images, labels):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss()(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss
