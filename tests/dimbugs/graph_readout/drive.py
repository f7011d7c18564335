import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.MoleculeNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    nodes, adjacency = torch.randn(4, 6, 4), (torch.rand(4, 6, 6) > 0.5).float()
    mask = torch.arange(6) < torch.tensor([[6], [4], [5], [3]])
    graphs, energies = (nodes, adjacency, mask), torch.randn(4)
    return Drive(model, graphs, F.mse_loss, energies, step=lambda: half.train_step(model, optimizer, graphs, energies))


def symptom(half):
    run = drive(half)
    nodes, adjacency, mask = run.example_input
    return mixes_samples(lambda changed: run.model(changed, adjacency, mask), nodes)
