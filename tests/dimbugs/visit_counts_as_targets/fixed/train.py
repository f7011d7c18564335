import torch
import torch.nn.functional as F
from self_play import GameHistory, Node
from torch import nn


class PredictionNetwork(nn.Module):
    def __init__(self, observation=4, actions=3, hidden=16):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observation, hidden), nn.ELU())
        self.policy = nn.Linear(hidden, actions)
        self.value = nn.Linear(hidden, 1)

    def forward(self, observation):
        hidden = self.body(observation)
        return self.policy(hidden), self.value(hidden).squeeze(-1)


class ReplayBuffer:
    def __init__(self):
        self.games: list[GameHistory] = []

    def get_batch(self):
        games = self.games
        observations = torch.stack([o for game in games for o in game.observations])
        policies = torch.tensor([p for game in games for p in game.child_visits], dtype=torch.float)
        values = torch.tensor([v for game in games for v in game.root_values])
        return observations, policies, values


def update_weights(network, optimizer, batch, value_loss_weight=0.25):
    observations, target_policy, target_value = batch
    policy_logits, value = network(observations)
    loss = F.cross_entropy(policy_logits, target_policy) + value_loss_weight * F.mse_loss(value, target_value)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
