from collections import OrderedDict

import torch
import torch.nn as nn
from torch.autograd import Function

digit_criterion = nn.CrossEntropyLoss()
domain_criterion = nn.CrossEntropyLoss()


class ReverseLayer(Function):
    @staticmethod
    def forward(ctx, features, alpha):
        ctx.alpha = alpha
        return features.view_as(features)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.alpha * grad, None


def extractor(channels: int = 4) -> nn.Sequential:
    layers = OrderedDict(
        conv=nn.Conv2d(1, channels, kernel_size=3),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flat=nn.Flatten(),
    )
    return nn.Sequential(layers)


def head(features: int, outputs: int, hidden: int = 16) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(features, hidden),
            relu=nn.ReLU(),
            fc2=nn.Linear(hidden, outputs),
            prob=nn.Softmax(dim=1),
        )
    )


class DANN(nn.Module):
    def __init__(self, digits: int = 3):
        super().__init__()
        self.extractor = extractor()
        self.classifier = head(36, digits)
        self.discriminator = head(36, 2)

    def forward(self, images, alpha=0.1):
        features = self.extractor(images)
        return self.classifier(features), self.discriminator(ReverseLayer.apply(features, alpha))


def train_step(model, optimizer, source, digits, target, alpha=0.1):
    digit_pred, source_pred = model(source, alpha)
    _, target_pred = model(target, alpha)
    domain_pred = torch.cat([source_pred, target_pred])
    domains = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).long()

    loss = digit_criterion(digit_pred, digits) + domain_criterion(domain_pred, domains)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
