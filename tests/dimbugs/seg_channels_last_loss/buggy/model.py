import torch
from torch import nn


class AxialBlock(nn.Module):
    """Attention along the rows, then along the columns."""

    def __init__(self, dim: int, heads: int = 2):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.rows = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.columns = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # B H W D
        b, h, w, d = x.shape
        lines = self.norm(x).reshape(b * h, w, d)
        x = x + self.rows(lines, lines, lines, need_weights=False)[0].view(b, h, w, d)
        lines = self.norm(x).transpose(1, 2).reshape(b * w, h, d)
        return x + self.columns(lines, lines, lines, need_weights=False)[0].view(b, w, h, d).transpose(1, 2)


class GlandSegmenter(nn.Module):
    def __init__(self, classes: int = 3, dim: int = 8):
        super().__init__()
        self.embed = nn.Conv2d(1, dim, 3, padding=1)
        self.blocks = nn.Sequential(AxialBlock(dim), AxialBlock(dim))
        self.head = nn.Linear(dim, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.embed(image).permute(0, 2, 3, 1)
        return self.head(self.blocks(tokens))
