import torch
from torch import nn

from .layers import GatedContacts


class ModelQuality(nn.Module):
    """How close a predicted structure is to the measured one."""

    def __init__(self, residue_size=6, contact_size=3):
        super().__init__()
        self.layers = nn.ModuleList(GatedContacts(residue_size, contact_size) for _ in range(2))
        self.quality = nn.Linear(residue_size, 1)

    def forward(self, residues, contacts):
        for layer in self.layers:
            residues = layer(residues, contacts)
        return self.quality(residues.mean(dim=1)).squeeze(-1)


def train_step(model, optimizer, structures, quality):
    loss = nn.functional.l1_loss(model(*structures), quality)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def optimizer_for(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3)
