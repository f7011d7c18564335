import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    encoder, criterion = half.PatchEncoder(), half.PatchContrastiveLoss()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    translated, original = torch.randn(3, 5, 12), torch.randn(3, 5, 12)
    step = lambda: half.train_step(encoder, criterion, optimizer, translated, original)  # noqa: E731
    return Drive(encoder, translated, criterion, encoder(original).detach(), step=step)


def symptom(half):
    """Whether the loss is negative."""
    return float(drive(half).step()) < 0
