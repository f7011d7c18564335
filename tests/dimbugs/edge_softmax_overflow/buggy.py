import torch
import torch.nn as nn
import torch.nn.functional as F


def edge_softmax(src, index, num_nodes):
    """Softmax of scores (batch, edges, heads) among the edges with the same index."""
    out = src.exp()
    total = out.new_zeros(out.size(0), num_nodes, out.size(2)).index_add(1, index, out)
    return out / total[:, index]


class GraphAttention(nn.Module):
    def __init__(self, in_channels, out_channels, heads=2, negative_slope=0.2):
        super().__init__()
        self.heads, self.negative_slope = heads, negative_slope
        self.lin = nn.Linear(in_channels, heads * out_channels, bias=False)
        self.att_src = nn.Parameter(torch.randn(heads, out_channels) / out_channels)
        self.att_dst = nn.Parameter(torch.randn(heads, out_channels) / out_channels)

    def forward(self, x, edge_index):
        source, target = edge_index
        num_nodes = x.size(1)
        x = self.lin(x).unflatten(-1, (self.heads, -1))  # batch, nodes, heads, channels
        alpha = (x * self.att_src).sum(dim=-1)[:, source] + (x * self.att_dst).sum(dim=-1)[:, target]
        alpha = edge_softmax(F.leaky_relu(alpha, self.negative_slope), target, num_nodes)
        messages = alpha.unsqueeze(-1) * x[:, source]
        return torch.zeros_like(x).index_add(1, target, messages).flatten(2)


class SkeletonNet(nn.Module):
    """Tells a gesture from the joints of a hand, which are joined alike in all samples."""

    def __init__(self, edge_index, in_channels=3, hidden=6, gestures=4):
        super().__init__()
        self.register_buffer("edge_index", edge_index)
        self.conv1 = GraphAttention(in_channels, hidden)
        self.conv2 = GraphAttention(2 * hidden, hidden)
        self.lin = nn.Linear(2 * hidden, gestures)

    def forward(self, joints):
        x = F.elu(self.conv1(joints, self.edge_index))
        x = F.elu(self.conv2(x, self.edge_index))
        return self.lin(x.mean(dim=1))


def train(model, optimizer, loader):
    for joints, gesture in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(joints), gesture)
        loss.backward()
        optimizer.step()
    return loss
