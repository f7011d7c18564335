import torch
from torch import nn
from torch.nn import functional as F


class AdditiveScore(nn.Module):
    def __init__(self, memory_dim, query_dim, attn_size):
        super().__init__()
        self.memory = nn.Linear(memory_dim, attn_size, bias=False)
        self.query = nn.Linear(query_dim, attn_size, bias=False)
        self.v = nn.Parameter(torch.randn(attn_size))

    def forward(self, memory, query):
        return torch.tanh(self.memory(memory) + self.query(query).unsqueeze(1)) @ self.v


class PointerNet(nn.Module):
    """Points to the first word of an answer, and from there to the last."""

    def __init__(self, passage_dim, question_dim, attn_size=8):
        super().__init__()
        self.score = AdditiveScore(passage_dim, question_dim, attn_size)
        self.cell = nn.GRUCell(passage_dim, question_dim)

    def forward(self, passage, question):
        """passage: (batch, words, passage_dim), question: (batch, question_dim)."""
        start = self.score(passage, question)
        weights = F.softmax(start, dim=-1).unsqueeze(-1)
        attended = torch.sum(weights * passage, dim=1)
        end = self.score(passage, self.cell(attended, question))
        return start, end

    @staticmethod
    def loss(spans, answers):
        start, end = spans
        return F.cross_entropy(start, answers[:, 0]) + F.cross_entropy(end, answers[:, 1])


def run_batch(net, opt, passage, question, answers):
    opt.zero_grad()
    loss = net.loss(net(passage, question), answers)
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
    return loss
