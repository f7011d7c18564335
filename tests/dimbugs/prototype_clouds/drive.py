import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    net = half.PrototypeNet(half.Args())
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    mols, own, targets = torch.randn(5, 6, 4), torch.tensor([0, 2, 1, 1, 0]), torch.randn(5)
    step = lambda: half.train_batch(net, optimizer, mols, own, targets)  # noqa: E731
    return Drive(net, mols, F.mse_loss, targets, step=step)


def symptom(half):
    run = drive(half)
    own = torch.tensor([0, 2, 1, 1, 0])
    return mixes_samples(lambda mols: run.model.nce_reg(run.model.embed(mols), own), run.example_input)
