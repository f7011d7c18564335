import torch
from torch import nn
from torch.nn import functional as F

HIDDEN = -1e9


class LookBack(nn.Module):
    """Weighs the days that were measured; days without a measurement do not count."""

    def __init__(self, size):
        super().__init__()
        self.of_day = nn.Linear(size, size)
        self.of_today = nn.Linear(size, size)

    def forward(self, days, measured):
        relevance = torch.einsum("bd,btd->bt", self.of_today(days[:, -1]), self.of_day(days))
        relevance = torch.where(measured, relevance, HIDDEN)
        return torch.einsum("bt,btd->bd", F.softmax(relevance, dim=-1), days)


class Forecast(nn.Module):
    def __init__(self, size=6):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(1, size), nn.Tanh())
        self.look_back = LookBack(size)
        self.tomorrow = nn.Linear(size, 1)

    def forward(self, values, measured):
        days = self.embed(values.unsqueeze(-1))
        return self.tomorrow(self.look_back(days, measured)).squeeze(-1)


def train_step(net, optimizer, values, measured, tomorrow):
    loss = F.smooth_l1_loss(net(values, measured), tomorrow)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
