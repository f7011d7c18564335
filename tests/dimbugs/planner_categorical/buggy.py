import torch
import torch.nn as nn
from torch.distributions import Categorical


class ToolScorer(nn.Module):
    """Log-probability of each tool, given what the task looks like."""

    def __init__(self, task_features=6, tools=5, hidden=12):
        super().__init__()
        self.encode = nn.Linear(task_features, hidden)
        self.score = nn.Linear(hidden, tools)

    def forward(self, task):
        return torch.log_softmax(self.score(torch.tanh(self.encode(task))), dim=-1)


class Agent:
    def __init__(self, lr=1e-2):
        self.scorer = ToolScorer()
        self.optimizer = torch.optim.Adam(self.scorer.parameters(), lr=lr)

    def act(self, task):
        log_prob = self.scorer(task)
        action = Categorical(log_prob.detach()).sample()
        return action, log_prob.gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def learn(self, task, reward_of):
        action, log_prob = self.act(task)
        reward = reward_of(action)
        loss = -(reward * log_prob).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
