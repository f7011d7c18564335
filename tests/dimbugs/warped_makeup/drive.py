import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.MakeupTransfer()
    optim = torch.optim.Adam(net.parameters(), lr=1e-3)
    source, reference, pseudo = torch.rand(3, 3, 4, 6), torch.rand(3, 3, 4, 6), torch.rand(3, 3, 4, 6)
    faces = (source, reference)
    return Drive(net, faces, F.l1_loss, pseudo, step=lambda: half.train_step(net, optim, *faces, pseudo))


def symptom(half):
    """Whether make-up that is the same everywhere does not arrive as it was."""
    run = drive(half)
    even = torch.ones(3, 2, 4, 6)
    return not torch.allclose(run.model.warp(even, run.model.correspondence(*run.example_input)), even, atol=1e-4)
