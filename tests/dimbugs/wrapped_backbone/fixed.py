import torch
import torch.nn as nn
import torch.nn.functional as F


class CandidateScorer(nn.Module):
    def __init__(self, features=7):
        super().__init__()
        self.hidden = nn.Linear(features, 16)
        self.score = nn.Linear(16, 1)

    def forward(self, candidates):
        return self.score(F.relu(self.hidden(candidates))).squeeze(-1)


class ProbabilityWrapper(nn.Module):
    """Gives any scorer a common output."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *inputs):
        return torch.softmax(self.module(*inputs), dim=-1)


def make_model(wrap=False):
    model = CandidateScorer()
    return ProbabilityWrapper(model) if wrap else model


class Loop:
    def __init__(self, model, lr=0.02):
        self.model = model
        self.loss = nn.CrossEntropyLoss()
        self.optim = torch.optim.Adam(model.parameters(), lr=lr)

    def step(self, candidates, answer):
        self.optim.zero_grad()
        loss = self.loss(self.model(candidates), answer)
        loss.backward()
        self.optim.step()
        return loss


def main(candidates, answer):
    loop = Loop(make_model())
    return loop.step(candidates, answer)
