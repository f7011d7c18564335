from typing import Dict

import torch
from torch import Tensor, nn


class DecomposableAttention(nn.Module):
    """Attend, compare, aggregate: whether a premise entails a hypothesis."""

    def __init__(self, vocab_size: int, dim: int = 8, num_labels: int = 3):
        super().__init__()
        self.text_field_embedder = nn.Embedding(vocab_size, dim, padding_idx=0)
        self.attend = nn.Sequential(nn.Linear(dim, dim), nn.ReLU())
        self.compare = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU())
        self.aggregate = nn.Linear(2 * dim, num_labels)

    def forward(self, premise: Tensor, hypothesis: Tensor) -> Tensor:
        p, h = self.text_field_embedder(premise), self.text_field_embedder(hypothesis)
        similarity = self.attend(p) @ self.attend(h).transpose(1, 2)  # batch, premise, hypothesis

        p_to_h = similarity.softmax(dim=2)
        h_to_p = similarity.softmax(dim=1)
        attended_hypothesis = p_to_h @ h
        attended_premise = h_to_p.transpose(1, 2) @ p

        compared_p = self.compare(torch.cat([p, attended_hypothesis], dim=-1)).sum(dim=1)
        compared_h = self.compare(torch.cat([h, attended_premise], dim=-1)).sum(dim=1)
        return self.aggregate(torch.cat([compared_p, compared_h], dim=-1))


def soft_label_loss(label_logits: Tensor, labels: Tensor) -> Tensor:
    log_label_probs = nn.functional.log_softmax(label_logits, dim=-1)
    return -torch.sum(log_label_probs * labels.float(), dim=-1).mean()


def train_batch(model, optimizer, premise, hypothesis, shares) -> Tensor:
    loss = soft_label_loss(model(premise, hypothesis), shares)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


@torch.no_grad()
def decode(model: nn.Module, batch: Dict[str, Tensor]) -> Tensor:
    return model(batch["premise"], batch["hypothesis"]).argmax(dim=-1)
