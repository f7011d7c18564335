import torch
from torch import nn

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    model, criterion = half.SearchModel(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    query, pages = torch.randn(3, 10, 5), [torch.randn(3, 10, 5) for _ in range(5)]
    run = Drive(model, (query, pages), criterion, torch.zeros(3, dtype=torch.long))
    run.step = lambda: half.learn_click(model, criterion, optimizer, query, pages[0], pages[1:])
    return run


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(5) - 1e-3, 25)
