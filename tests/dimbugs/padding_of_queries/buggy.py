import math

import torch
from torch import nn

PAD = 0


class DotProductAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, q, k, v, mask=None):
        score = q @ k.transpose(2, 3) / math.sqrt(q.size(-1))
        if mask is not None:
            score = score.masked_fill(mask == 0, -math.inf)
        return self.softmax(score) @ v


class EncoderLayer(nn.Module):
    def __init__(self, d_model, n_head):
        super().__init__()
        self.n_head = n_head
        self.attention = DotProductAttention()
        self.w_q, self.w_k, self.w_v = (nn.Linear(d_model, d_model) for _ in range(3))
        self.norm = nn.LayerNorm(d_model)

    def split(self, tensor):
        batch, length, d_model = tensor.size()
        return tensor.view(batch, length, self.n_head, d_model // self.n_head).transpose(1, 2)

    def forward(self, x, mask):
        q, k, v = self.split(self.w_q(x)), self.split(self.w_k(x)), self.split(self.w_v(x))
        out = self.attention(q, k, v, mask=mask).transpose(1, 2).reshape(x.shape)
        return self.norm(x + out)


class Encoder(nn.Module):
    def __init__(self, vocab, d_model=8, n_head=2, n_layers=2, tags=5):
        super().__init__()
        self.embedding = nn.Embedding(vocab, d_model, padding_idx=PAD)
        self.layers = nn.ModuleList([EncoderLayer(d_model, n_head) for _ in range(n_layers)])
        self.linear = nn.Linear(d_model, tags)

    def make_src_mask(self, src):
        return (src != PAD).unsqueeze(1).unsqueeze(3)

    def forward(self, src):
        mask = self.make_src_mask(src)
        x = self.embedding(src)
        for layer in self.layers:
            x = layer(x, mask)
        return self.linear(x)


def run_epoch(model, optimizer, batches):
    criterion = nn.CrossEntropyLoss(ignore_index=-1)
    for src, tags in batches:
        optimizer.zero_grad()
        loss = criterion(model(src).flatten(0, 1), tags.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return loss
