import torch
from torch import nn

from .ops import masked_softmax


class EntityAttention(nn.Module):
    """Reads the mentions of a document with a question in mind."""

    def __init__(self, dim=6):
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.answer = nn.Linear(dim, 1)

    def forward(self, question, mentions, mask):
        scores = torch.einsum("bd,bmd->bm", self.query(question), self.key(mentions))
        weights = masked_softmax(scores, mask)
        read = torch.einsum("bm,bmd->bd", weights, mentions)
        return self.answer(read).squeeze(-1)


def train_step(model, optimizer, batch, answers):
    loss = nn.functional.binary_cross_entropy_with_logits(model(*batch), answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
