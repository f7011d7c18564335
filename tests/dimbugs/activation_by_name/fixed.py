import torch
import torch.nn as nn
import torch.nn.functional as F

ACTIVATIONS = {
    "relu": lambda x: F.relu(x),
    "tanh": lambda x: torch.tanh(x),
    "leaky_relu": lambda x: F.leaky_relu(x, negative_slope=0.1),
    "sigmoid": lambda x: torch.sigmoid(x),
}


class AttentionGate(nn.Module):
    """Lets through what of a long past the recent past asks for."""

    def __init__(self, recent: int, distant: int, hidden: int, activation: str = "sigmoid"):
        super().__init__()
        self.recent = nn.Linear(recent, hidden)
        self.distant = nn.Linear(distant, hidden)
        self.psi = nn.Linear(hidden, 1)
        self.activation = ACTIVATIONS[activation]

    def forward(self, recent, distant):
        gate = self.psi(F.relu(self.recent(recent) + self.distant(distant)))
        return self.activation(gate) * distant


class DemandModel(nn.Module):
    def __init__(self, hours=6, days=4, hidden=8):
        super().__init__()
        self.gate = AttentionGate(hours, days, hidden)
        self.head = nn.Linear(hours + days, 1)

    def forward(self, hours, days):
        return self.head(torch.cat([hours, self.gate(hours, days)], dim=-1)).squeeze(-1)


def fit_batch(model, optimizer, batch):
    hours, days, demand = batch
    loss = F.l1_loss(model(hours, days), demand)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
