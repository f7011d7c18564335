import torch
from torch import nn
from torch.nn import functional as F


class AdditiveAttention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.combine = nn.Linear(2 * size, size)
        self.rate = nn.Linear(size, 1, bias=False)

    def forward(self, state, memory):
        asked = state.unsqueeze(1).expand_as(memory)
        combined = F.softmax(self.combine(torch.cat([asked, memory], dim=-1)))
        weights = self.rate(combined).squeeze(-1).softmax(dim=1)
        return torch.einsum("bt,btd->bd", weights, memory)


class TopicModel(nn.Module):
    """Reads a text and looks back at it once before it decides."""

    def __init__(self, words=15, size=6, topics=4):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.read = nn.GRU(size, size, batch_first=True)
        self.look_back = AdditiveAttention(size)
        self.decide = nn.Linear(2 * size, topics)

    def forward(self, text):
        memory, state = self.read(self.embed(text))
        state = state.squeeze(0)
        return self.decide(torch.cat([state, self.look_back(state, memory)], dim=-1))


def fit(model, optimizer, text, topics):
    loss = F.cross_entropy(model(text), topics)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 1.0)
    optimizer.step()
    return loss
