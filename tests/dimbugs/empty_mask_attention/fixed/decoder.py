import torch
from torch import Tensor, nn


class MaskedCrossAttention(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.to_q = nn.Linear(dim, dim)
        self.to_kv = nn.Linear(dim, 2 * dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, queries: Tensor, pixels: Tensor, attn_mask: Tensor) -> Tensor:
        """queries: (B, Q, D), pixels: (B, HW, D), attn_mask: (B, Q, HW), True where a query must not look."""
        q = self.to_q(queries)
        k, v = self.to_kv(pixels).chunk(2, dim=-1)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(attn_mask, float("-inf"))
        return self.norm(queries + scores.softmax(dim=-1) @ v)


class MaskDecoder(nn.Module):
    """Each layer looks only where the masks predicted before it are."""

    def __init__(self, num_classes: int = 3, num_queries: int = 4, dim: int = 8, layers: int = 2):
        super().__init__()
        self.pixel_encoder = nn.Conv2d(3, dim, 3, padding=1)
        self.queries = nn.Parameter(torch.randn(num_queries, dim))
        self.layers = nn.ModuleList(MaskedCrossAttention(dim) for _ in range(layers))
        self.class_embed = nn.Linear(dim, num_classes + 1)
        self.mask_embed = nn.Linear(dim, dim)

    def predict_masks(self, queries: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        masks = self.mask_embed(queries) @ pixels.transpose(-2, -1)
        attn_mask = (masks.sigmoid() < 0.5).detach()
        attn_mask = attn_mask & ~attn_mask.all(dim=-1, keepdim=True)  # an empty mask hides nothing
        return masks, attn_mask

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.pixel_encoder(image).flatten(2).transpose(1, 2)
        queries = self.queries.expand(len(image), -1, -1)
        masks, attn_mask = self.predict_masks(queries, pixels)
        for layer in self.layers:
            queries = layer(queries, pixels, attn_mask)
            masks, attn_mask = self.predict_masks(queries, pixels)
        return self.class_embed(queries), masks.unflatten(-1, image.shape[-2:])
