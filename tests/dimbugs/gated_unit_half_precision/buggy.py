import torch
import torch.nn.functional as F
from torch import nn


class ScaleOffset(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return x * self.weight + self.bias


class GatedAttentionUnit(nn.Module):
    def __init__(self, hidden, expansion, key_size):
        super().__init__()
        self.splits = (expansion, expansion, key_size)
        self.i_dense = nn.Linear(hidden, sum(self.splits), bias=False)
        self.q_scaleoffset = ScaleOffset(key_size)
        self.k_scaleoffset = ScaleOffset(key_size)
        self.o_dense = nn.Linear(expansion, hidden, bias=False)
        self.register_buffer("masked_bias", torch.tensor(-1e12), persistent=False)

    def attention_normalize(self, a, mask):
        """mask: (batch, 1, tokens), 1 where there is a word."""
        return torch.softmax(a + (1 - mask) * self.masked_bias, dim=-1)

    def forward(self, x, mask):
        u, v, qk = F.silu(self.i_dense(x)).split(self.splits, dim=-1)
        q, k = self.q_scaleoffset(qk), self.k_scaleoffset(qk)
        a = torch.einsum("bmd,bnd->bmn", q, k) / self.splits[2] ** 0.5
        A = self.attention_normalize(a, mask)
        return self.o_dense(u * torch.einsum("bmn,bnd->bmd", A, v))


class GAUAlphaModel(nn.Module):
    def __init__(self, vocab, hidden=8, num_labels=2):
        super().__init__()
        self.embeddings = nn.Embedding(vocab, hidden)
        self.gau = GatedAttentionUnit(hidden, 2 * hidden, 4)
        self.classifier = nn.Linear(hidden, num_labels)

    def forward(self, input_ids, attention_mask):
        x = self.embeddings(input_ids)
        x = x + self.gau(x, attention_mask.unsqueeze(1).to(x.dtype))
        return self.classifier(x[:, 0]).float()


def finetune_step(model, optimizer, input_ids, attention_mask, labels):
    loss = F.cross_entropy(model(input_ids, attention_mask), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
