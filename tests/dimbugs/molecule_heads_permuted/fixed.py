import torch
from torch import nn
from torch.nn import functional as F


class GraphAttention(nn.Module):
    def __init__(self, in_channels, out_channels, heads=3, negative_slope=0.2):
        super().__init__()
        self.heads, self.out_channels, self.negative_slope = heads, out_channels, negative_slope
        self.message = nn.Linear(in_channels, heads * out_channels)
        self.receiver = nn.Parameter(torch.randn(heads, out_channels))
        self.sender = nn.Parameter(torch.randn(heads, out_channels))

    def forward(self, h, adj):
        """h: (molecules, atoms, in_channels), adj: (molecules, atoms, atoms), with an edge of each atom to itself."""
        mb, atoms, _ = h.shape
        z = self.message(h).view(mb, atoms, self.heads, self.out_channels)
        e = (z * self.receiver).sum(-1).unsqueeze(2) + (z * self.sender).sum(-1).unsqueeze(1)
        e = F.leaky_relu(e.permute(3, 0, 1, 2), self.negative_slope)
        e = e.masked_fill(adj == 0, -10000)
        alpha = F.softmax(e, dim=3)
        out = torch.matmul(alpha, z.permute(2, 0, 1, 3))
        return out.permute(1, 2, 0, 3).reshape(mb, atoms, -1)


class RelationalGAT(nn.Module):
    def __init__(self, num_atom_types, out_dim, hidden=4, heads=3):
        super().__init__()
        self.embed = nn.Embedding(num_atom_types, hidden)
        self.update = GraphAttention(hidden, hidden, heads)
        self.readout = nn.Linear(heads * hidden, out_dim)

    def forward(self, atoms, adj):
        h = F.elu(self.update(self.embed(atoms), adj))
        return self.readout(h).sum(dim=1)


def update_core(model, optimizer, atoms, adj, solubility):
    loss = F.mse_loss(model(atoms, adj), solubility)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
