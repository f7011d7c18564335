import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model, criterion = half.MSN(in_dim=8), half.PMSNLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    views, anchor_views = torch.randn(6, 8), torch.randn(6, 8)
    loss = lambda anchors, targets: criterion(anchors, targets, model.prototypes)  # noqa: E731
    step = lambda: half.training_step(model, criterion, optimizer, views, anchor_views)  # noqa: E731
    return Drive(model, views, loss, torch.randn(6, 6), step=step)


def symptom(half):
    """Whether the penalty is not 0 for the power law itself."""
    logits = half.power_law(5, 0.25).log().expand(6, 5)
    return abs(float(half.PMSNLoss().regularization(logits))) > 1e-4
