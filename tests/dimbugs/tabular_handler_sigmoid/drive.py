import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    fitting = half.Fitting(half.Target())
    rows, answers = torch.randn(6, 9), torch.tensor([0.0, 1, 1, 0, 1, 0])
    loss = F.binary_cross_entropy_with_logits
    return Drive(fitting.model, rows, loss, answers, step=lambda: fitting.step(rows, answers))


def symptom(half):
    return stays_above(drive(half).step, 0.45)
