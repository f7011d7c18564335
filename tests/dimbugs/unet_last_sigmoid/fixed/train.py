import torch
from network import Hourglass
from torch import nn


def objective_for(classes):
    return nn.BCEWithLogitsLoss() if classes == 1 else nn.CrossEntropyLoss()


class Run:
    def __init__(self, classes=1, lr=0.02):
        self.net = Hourglass(classes)
        self.objective = objective_for(self.net.classes)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr)

    def step(self, images, foreground):
        self.optimizer.zero_grad()
        loss = self.objective(self.net(images), foreground)
        loss.backward()
        self.optimizer.step()
        return loss
