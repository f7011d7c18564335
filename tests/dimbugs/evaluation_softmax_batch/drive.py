import torch
from torch import nn

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net, criterion = half.CatOrFish(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    photos, kinds = torch.randn(6, 3, 4, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    batches = [(photos, kinds)]
    run = Drive(net, photos, criterion, kinds)
    run.step = lambda: half.train(net, criterion, optimizer, batches, batches)[0]
    return run


def symptom(half):
    """Whether rows that all say class 1 are taken for something else."""
    logits = torch.tensor([[0.0, 1.0], [2.0, 3.0], [9.0, 9.5]])
    return half.share_of_hits(nn.Identity(), [(logits, torch.ones(3, dtype=torch.long))]) < 1
