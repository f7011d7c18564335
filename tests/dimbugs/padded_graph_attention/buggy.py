import math

import torch
import torch.nn as nn


class MultiHeadAttention(nn.Module):
    """Attention among the nodes of each graph; graphs are padded to the largest of the batch."""

    def __init__(self, d_model, num_heads):
        super().__init__()
        self.num_heads, self.d_head = num_heads, d_model // num_heads
        self.proj_q = nn.Linear(d_model, d_model, bias=False)
        self.proj_k = nn.Linear(d_model, d_model, bias=False)
        self.proj_v = nn.Linear(d_model, d_model, bias=False)
        self.proj_o = nn.Linear(d_model, d_model, bias=False)

    def attention_mask(self, lengths, size):
        mask = torch.zeros(len(lengths), size, size, dtype=torch.bool, device=lengths.device)
        for i, n in enumerate(lengths.tolist()):
            mask[i, :n, :n] = True
        return mask.unsqueeze(1)

    def forward(self, x, lengths):
        batch_size, size, _ = x.shape
        q, k, v = (f(x).view(batch_size, size, self.num_heads, -1) for f in (self.proj_q, self.proj_k, self.proj_v))
        e = torch.einsum("bxhd,byhd->bhxy", q, k) / math.sqrt(self.d_head)
        e = e.masked_fill(~self.attention_mask(lengths, size), -float("inf"))
        alpha = torch.softmax(e, dim=-1)
        out = torch.einsum("bhxy,byhd->bxhd", alpha, v)
        return self.proj_o(out.reshape(batch_size, size, -1))


class SetTransformer(nn.Module):
    def __init__(self, features=5, d_model=8, num_heads=2, classes=3):
        super().__init__()
        self.inputs = nn.Linear(features, d_model)
        self.mha = MultiHeadAttention(d_model, num_heads)
        self.norm = nn.LayerNorm(d_model)
        self.classify = nn.Linear(d_model, classes)

    def forward(self, nodes, lengths):
        x = self.inputs(nodes)
        x = self.norm(x + self.mha(x, lengths))
        graphs = [x[i, :n].mean(dim=0) for i, n in enumerate(lengths.tolist())]
        return self.classify(torch.stack(graphs))
