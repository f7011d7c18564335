from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F


class IncrementalLearner:
    """Meets classes one after another, with a small memory of those it has met."""

    def __init__(self, in_features, classes, hidden=16, lr=0.05, memory_size=8):
        self.hidden, self.lr, self.memory_size = hidden, lr, memory_size
        self.model = nn.Sequential(
            OrderedDict(
                body=nn.Linear(in_features, hidden),
                act=nn.ReLU(),
                head=nn.Linear(hidden, classes),
            )
        )
        self.memory = []
        self.opt = torch.optim.SGD(self.model.parameters(), lr=lr)

    @property
    def known_classes(self):
        return self.model.head.out_features

    def grow(self, classes):
        """A head for more classes, which keeps what it knows of the old ones."""
        old, new = self.model.head, nn.Linear(self.hidden, classes)
        with torch.no_grad():
            new.weight[: old.out_features] = old.weight
            new.bias[: old.out_features] = old.bias
        self.model.head = new
        self.opt = torch.optim.SGD(self.model.parameters(), lr=self.lr)

    def observe(self, x, y):
        if int(y.max()) >= self.known_classes:
            self.grow(int(y.max()) + 1)
        xs, ys = [x], [y]
        for old_x, old_y in self.memory:
            xs.append(old_x)
            ys.append(old_y)
        loss = F.cross_entropy(self.model(torch.cat(xs)), torch.cat(ys))
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        self.memory = (self.memory + [(x, y)])[-self.memory_size :]
        return loss
