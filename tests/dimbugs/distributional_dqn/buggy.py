import torch
import torch.nn as nn
import torch.nn.functional as F


class ValueDistribution(nn.Module):
    """For each action a distribution over a grid of returns; its mean is the value of the action."""

    def __init__(self, sensors, actions, grid=(-2.0, 2.0, 11)):
        super().__init__()
        low, high, atoms = grid
        self.register_buffer("returns", torch.linspace(low, high, atoms))
        self.net = nn.Sequential(
            nn.Linear(sensors, 32),
            nn.ReLU(),
            nn.Linear(32, actions * atoms),
            nn.Unflatten(1, (actions, atoms)),
        )

    def forward(self, observed):
        chances = F.softmax(self.net(observed))
        return chances @ self.returns


class QLearner:
    def __init__(self, sensors=6, actions=3, discount=0.9):
        self.values = ValueDistribution(sensors, actions)
        self.discount = discount
        self.optimizer = torch.optim.Adam(self.values.parameters(), lr=1e-3)

    def learn(self, observed, taken, rewards, after):
        with torch.no_grad():
            goal = rewards + self.discount * self.values(after).amax(dim=1)
        value = self.values(observed).take_along_dim(taken.unsqueeze(1), dim=1).squeeze(1)
        loss = F.huber_loss(value, goal)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
