import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    student, teacher = half.RegimeLSTM(), half.RegimeLSTM(hidden=12, layers=2)
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    windows, regimes = torch.randn(5, 7, 2), torch.tensor([0, 1, 2, 1, 0])
    step = lambda: half.distill(student, teacher, optimizer, windows, regimes)  # noqa: E731
    return Drive(student, windows, half.LOSSES["soft"], teacher(windows).detach(), step=step)


def symptom(half):
    """Whether a student that says the same as its teacher has a loss."""
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    return abs(float(half.LOSSES["soft"](logits, logits))) > 1e-4
