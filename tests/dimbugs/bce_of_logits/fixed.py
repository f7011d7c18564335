import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def make_parts(config):
    """What a trainer asks for: a model, a loss, an optimiser and their schedule."""
    model = nn.Linear(config["columns"], 1)
    loss = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=config.get("lr", 0.1))
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, config.get("decay", 0.99))
    return model, loss, optimizer, schedule


class DistributedTrainer:
    def __init__(self, parts, config):
        self.model, self.loss, self.optimizer, self.schedule = parts(config)

    def step(self, rows, answers):
        value = self.loss(self.model(rows), answers)
        self.optimizer.zero_grad()
        value.backward()
        self.optimizer.step()
        return value

    def epoch(self, data, batch_size=8):
        values = [self.step(rows, answers).item() for rows, answers in DataLoader(data, batch_size)]
        self.schedule.step()
        return sum(values) / len(values)


def half_plane(columns, size=16):
    rows = torch.randn(size, columns)
    return TensorDataset(rows, (rows.sum(dim=1, keepdim=True) > 0).float())
