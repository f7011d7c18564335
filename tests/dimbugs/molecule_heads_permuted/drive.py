import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.RelationalGAT(num_atom_types=9, out_dim=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    atoms = torch.randint(0, 9, (4, 5))
    adj = ((torch.rand(4, 5, 5) > 0.5) | torch.eye(5, dtype=torch.bool)).long()
    solubility = torch.randn(4, 1)
    step = lambda: half.update_core(model, optimizer, atoms, adj, solubility)  # noqa: E731
    return Drive(model, (atoms, adj), F.mse_loss, solubility, step=step)


def symptom(half):
    run = drive(half)
    atoms, adj = run.example_input
    return mixes_samples(lambda batch: run.model(batch, adj), atoms)
