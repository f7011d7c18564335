from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Args:
    n_feats: int = 4
    n_hidden: int = 8
    n_clouds: int = 3
    cloud_size: int = 5
    nce_coef: float = 0.1


class PrototypeNet(nn.Module):
    """Predicts a property of a molecule from its distances to learned point clouds."""

    def __init__(self, args):
        super().__init__()
        self.args = args
        self.atom_embed = nn.Sequential(nn.Linear(args.n_feats, args.n_hidden), nn.LeakyReLU())
        self.clouds = nn.Parameter(torch.randn(args.n_clouds, args.cloud_size, args.n_hidden))
        self.readout = nn.Linear(args.n_clouds, 1)

    def embed(self, mols):
        return self.atom_embed(mols)

    def dist(self, atoms, cloud):
        """One distance per molecule: each atom to the nearest point of the cloud, on average."""
        return torch.cdist(atoms, cloud).amin(dim=2).mean(dim=1)

    def forward(self, mols):
        atoms = self.embed(mols)
        dists = [self.dist(atoms, cloud.expand(len(atoms), -1, -1)) for cloud in self.clouds]
        return self.readout(torch.stack(dists, dim=1)).squeeze(1)

    def nce_reg(self, atoms, own):
        """The own cloud of a molecule shall be nearer to it than the noisy ones."""
        all_nce_dists = [-self.dist(atoms, self.clouds[own])]
        for shift in range(1, self.args.n_clouds):
            noisy = self.clouds[(own + shift) % self.args.n_clouds]
            all_nce_dists.append(-self.dist(atoms, noisy))
        return -nn.LogSoftmax()(torch.stack(all_nce_dists))[0]


def train_batch(net, optimizer, mols, own, targets):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(mols), targets)
    loss = loss + net.args.nce_coef * net.nce_reg(net.embed(mols), own).mean()
    loss.backward()
    optimizer.step()
    return loss
