import torch
import torch.nn as nn


def fold_heads(x, heads):
    """(batch, length, heads * size) to (batch * heads, length, size)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).swapaxes(1, 2).reshape(batch * heads, length, -1)


def unfold_heads(x, heads):
    folded, length, size = x.shape
    return x.reshape(folded // heads, heads, length, size).swapaxes(1, 2).reshape(folded // heads, length, -1)


class EncoderBlock(nn.Module):
    def __init__(self, width=8, heads=2):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.normalize = nn.Softmax(dim=2)
        self.feed_forward = nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, width))

    def attend(self, x):
        query, key, value = (fold_heads(part, self.heads) for part in self.project(x).tensor_split(3, dim=-1))
        logits = torch.baddbmm(torch.zeros(1, 1, 1), query, key.mT, beta=0, alpha=query.shape[-1] ** -0.5)
        return unfold_heads(torch.bmm(self.normalize(logits), value), self.heads)

    def forward(self, x):
        x = x + self.attend(x)
        return x + self.feed_forward(x)
