import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    imitator = half.Imitator(5, 2)
    optimizer = torch.optim.Adam(imitator.parameters(), lr=1e-3)
    past, expert = torch.randn(4, 6, 5), torch.rand(4, 2)
    return Drive(imitator, past, F.mse_loss, expert, step=lambda: half.imitate(imitator, optimizer, past, expert))


def symptom(half):
    pool = half.PoolOverTime(3)
    return not torch.allclose(pool(torch.ones(2, 5, 3)), torch.ones(2, 3), atol=1e-5)
