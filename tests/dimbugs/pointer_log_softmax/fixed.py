import torch
import torch.nn as nn


class PointerDecoder(nn.Module):
    """Points at one position of the source."""

    def __init__(self, features=5, hidden=8):
        super().__init__()
        self.read = nn.Linear(features, hidden)
        self.query = nn.Linear(features, hidden)
        self.sm = nn.LogSoftmax(dim=1)

    def scores(self, source, state):
        return torch.bmm(self.read(source), self.query(state).unsqueeze(2)).squeeze(2)

    def forward(self, source, state):
        return self.sm(self.scores(source, state))


class PointerLoss(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, source, state, position):
        log_probs = self.decoder(source, state)
        return -log_probs.gather(1, position.unsqueeze(1)).mean()


def train_step(criterion, optimizer, source, state, position):
    loss = criterion(source, state, position)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
