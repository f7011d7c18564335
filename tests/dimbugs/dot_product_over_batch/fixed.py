import torch
from torch import nn


class MemoryReader(nn.Module):
    """Lets each query of a sample read the sample's memory."""

    def __init__(self, size, bilinear=True):
        super().__init__()
        self.match = nn.Linear(size, size, bias=False) if bilinear else nn.Identity()
        self.normalize = nn.Softmax(dim=-1)
        self.mix = nn.Linear(2 * size, size)

    def weigh(self, queries, memory):
        scores = self.match(queries) @ memory.mT
        flat = scores.flatten(0, 1)
        return self.normalize(flat).view_as(scores)

    def forward(self, queries, memory):
        weights = self.weigh(queries, memory)
        read = weights @ memory
        return torch.tanh(self.mix(torch.cat([queries, read], dim=-1))), weights


class Answerer(nn.Module):
    def __init__(self, words=12, size=6, answers=3):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.reader = MemoryReader(size)
        self.answer = nn.Linear(size, answers)

    def forward(self, question, story):
        read, _ = self.reader(self.embed(question), self.embed(story))
        return self.answer(read.amax(dim=1))


def train_step(model, optimizer, question, story, answers):
    loss = nn.functional.cross_entropy(model(question, story), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
