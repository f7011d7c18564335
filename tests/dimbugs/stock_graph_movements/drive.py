import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.StockGraph(nfeat=3, nhid=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4, weight_decay=5e-5)
    adj = torch.eye(4)
    adj[0, 1] = adj[1, 0] = adj[2, 3] = adj[3, 2] = 1
    prices, moves = torch.randn(3, 4, 6, 3), torch.randint(0, 2, (3, 4))
    loss = lambda output, moves: F.nll_loss(output.flatten(0, 1), moves.flatten())  # noqa: E731
    return Drive(model, (prices, adj), loss, moves, step=lambda: half.train(model, optimizer, prices, adj, moves))


def symptom(half):
    return float(drive(half).step()) < 0
