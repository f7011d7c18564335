import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    aligner = half.Aligner(voters=3)
    optimizer = torch.optim.Adam(aligner.parameters(), lr=1e-3)
    src, tgt = torch.rand(2, 1, 6, 8), torch.rand(2, 1, 6, 8)
    pairs = torch.cat([src, tgt], dim=1)
    step = lambda: half.fit_pair(aligner, optimizer, src, tgt)  # noqa: E731
    return Drive(aligner, pairs, F.mse_loss, torch.zeros(2, 2, 6, 8), step=step)


def symptom(half):
    """Whether fields that differ much give none."""
    fields = torch.tensor([0.0, 500.0, 1200.0]).view(3, 1, 1, 1, 1).expand(3, 2, 2, 4, 4)
    return bool(half.vote(fields).isnan().any())
