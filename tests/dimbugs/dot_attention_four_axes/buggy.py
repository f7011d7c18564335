from torch import nn


class Lookup(nn.Module):
    """Softmax attention, without parameters."""

    def __init__(self, size, dropout=0.0):
        super().__init__()
        self.factor = size**-0.5
        self.normalize = nn.Softmax(dim=2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, asked, keys, values):
        affinity = self.factor * (asked @ keys.transpose(-2, -1))
        return self.dropout(self.normalize(affinity)) @ values


class ManyHeads(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.heads = heads
        self.to_asked = nn.Linear(size, size)
        self.to_memory = nn.Linear(size, 2 * size)
        self.lookup = Lookup(size // heads)
        self.back = nn.Linear(size, size)

    def heads_first(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, memory):
        keys, values = self.to_memory(memory).chunk(2, dim=-1)
        found = self.lookup(
            self.heads_first(self.to_asked(x)),
            self.heads_first(keys),
            self.heads_first(values),
        )
        return self.back(found.transpose(1, 2).flatten(2))
