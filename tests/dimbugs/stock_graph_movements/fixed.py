import torch
import torch.nn as nn
import torch.nn.functional as F


class GraphAttentionLayer(nn.Module):
    def __init__(self, in_features, out_features, alpha=0.2):
        super().__init__()
        self.W = nn.Linear(in_features, out_features, bias=False)
        self.a_from = nn.Linear(out_features, 1, bias=False)
        self.a_to = nn.Linear(out_features, 1, bias=False)
        self.leakyrelu = nn.LeakyReLU(alpha)

    def forward(self, x, adj):
        h = self.W(x)  # days x stocks x features
        e = self.leakyrelu(self.a_from(h) + self.a_to(h).transpose(1, 2))
        attention = F.softmax(e.masked_fill(adj == 0, float("-inf")), dim=2)
        return F.elu(torch.einsum("dij,djf->dif", attention, h))


class StockGraph(nn.Module):
    """Whether each stock rises or falls the next day; related stocks look at one another."""

    def __init__(self, nfeat, nhid, nclass=2, nheads=2, dropout=0.1):
        super().__init__()
        self.grup = nn.GRU(nfeat, nhid, batch_first=True)
        self.attentions = nn.ModuleList(GraphAttentionLayer(nhid, nhid) for _ in range(nheads))
        self.linear_x = nn.Linear(nhid * (nheads + 1), nclass)
        self.dropout = nn.Dropout(dropout)

    def forward(self, prices, adj):
        days, stocks = prices.shape[:2]
        _, h = self.grup(prices.flatten(0, 1))
        x = self.dropout(h[-1].view(days, stocks, -1))
        x = torch.cat([x] + [att(x, adj) for att in self.attentions], dim=-1)
        return F.log_softmax(self.linear_x(x), dim=-1)


def train(model, optimizer, prices, adj, moves):
    model.train()
    optimizer.zero_grad()
    output = model(prices, adj)
    loss_train = F.nll_loss(output.flatten(0, 1), moves.flatten())
    loss_train.backward()
    optimizer.step()
    return loss_train


@torch.no_grad()
def accuracy(model, prices, adj, moves):
    model.eval()
    return (model(prices, adj).argmax(dim=-1) == moves).float().mean().item()
