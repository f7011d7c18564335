import torch
import torch.nn as nn


class MaskedPolicy(nn.Module):
    def __init__(self, obs_dim=4, num_actions=3):
        super().__init__()
        self.hidden = nn.Linear(obs_dim, 16)
        self.actions = nn.Linear(16, num_actions)
        self.value = nn.Linear(16, 1)

    def forward(self, obs, allowed):
        features = torch.tanh(self.hidden(obs))
        scores = self.actions(features).masked_fill(~allowed, float("-inf"))
        probs = torch.softmax(scores, dim=-1)
        return probs, self.value(features).squeeze(-1)
