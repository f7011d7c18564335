import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    solver = half.Solver(half.Config())
    features, labels = torch.randn(3, 6, 8), (torch.arange(24).view(3, 8) % 5 == 0).long()
    loss = lambda pred_score, labels: solver.sum_loss(pred_score, labels)  # noqa: E731
    return Drive(solver.model, features, loss, labels, step=lambda: solver.train_batch(features, labels))


def symptom(half):
    """Whether scores that are sure and right have a loss."""
    run = drive(half)
    sure = torch.nn.functional.one_hot(run.target, 2).movedim(-1, 1) * 30.0
    return float(run.loss(sure, run.target)) > 1e-3
