import torch
from torch import nn

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.SetTransformer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    nodes, lengths, kinds = torch.randn(3, 6, 5), torch.tensor([6, 4, 2]), torch.tensor([0, 2, 1])

    def step():
        loss = nn.functional.cross_entropy(model(nodes, lengths), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Drive(model, (nodes, lengths), nn.functional.cross_entropy, kinds, step=step)


def symptom(half):
    """Whether the loss is a number and a gradient is not."""
    run = drive(half)
    loss = run.step()
    return bool(loss.isfinite()) and any(p.grad.isnan().any() for p in run.model.parameters())
