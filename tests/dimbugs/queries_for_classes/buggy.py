from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskClassifier(nn.Module):
    """Queries look at the pixels of an image, each says what it has found."""

    def __init__(self, num_classes: int = 4, num_queries: int = 5, hidden_dim: int = 16):
        super().__init__()
        self.backbone = nn.Conv2d(3, hidden_dim, kernel_size=2, stride=2)
        self.query_embed = nn.Embedding(num_queries, hidden_dim)
        self.decoder = nn.MultiheadAttention(hidden_dim, num_heads=2, batch_first=True)
        self.class_embed = nn.Linear(hidden_dim, num_classes + 1)

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.backbone(images).flatten(2).transpose(1, 2)
        queries = self.query_embed.weight.expand(images.shape[0], -1, -1)
        hs, _ = self.decoder(queries, pixels, pixels, need_weights=False)
        return self.class_embed(queries + hs)


class SetCriterion(nn.Module):
    def __init__(self, num_classes: int, eos_coef: float):
        super().__init__()
        self.num_classes = num_classes
        empty_weight = torch.ones(num_classes + 1)
        empty_weight[-1] = eos_coef
        self.register_buffer("empty_weight", empty_weight)

    def forward(self, src_logits: Tensor, targets: List[Tensor], indices: List[Tuple[Tensor, Tensor]]) -> Tensor:
        """Queries without a partner in `indices` shall say that they have found nothing."""
        target_classes = torch.full(src_logits.shape[:2], self.num_classes, dtype=torch.int64, device=src_logits.device)
        for row, labels, (src, tgt) in zip(target_classes, targets, indices, strict=True):
            row[src] = labels[tgt]
        return F.cross_entropy(src_logits, target_classes, self.empty_weight)


def train_step(model, criterion, optimizer, images, targets, indices, max_norm=0.01):
    loss = criterion(model(images), targets, indices)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), max_norm)
    optimizer.step()
    return loss
