import torch
import torch.nn.functional as F
from torch import nn


def nt_xent_loss(out_1, out_2, temperature):
    """
    Args:
        out_1: [batch_size, dim], unit vectors
        out_2: [batch_size, dim], unit vectors of the same sounds, cut or shifted
    """
    out = torch.cat([out_1, out_2], dim=0)
    n_samples = len(out)

    # one row per sample, its similarity to all others
    cov = torch.mm(out, out.t().contiguous())
    sim = cov[~torch.eye(n_samples, dtype=torch.bool, device=cov.device)].view(n_samples, -1)

    # each finds the other view of itself
    own = torch.arange(len(out_1), device=cov.device)
    partner = torch.cat([own + len(out_1) - 1, own])

    exp_sim = torch.exp(sim / temperature)
    prob = exp_sim / exp_sim.sum(dim=-1, keepdim=True)
    return -prob[torch.arange(n_samples), partner].log().mean()


class SimCLR(nn.Module):
    def __init__(self, mels=8, hidden=16, out=6, loss_temperature=0.5):
        super().__init__()
        self.loss_temperature = loss_temperature
        self.encoder = nn.Conv1d(mels, hidden, kernel_size=3, padding=1)
        self.projection = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, out, bias=False))

    def forward(self, sound):
        h = F.relu(self.encoder(sound)).mean(dim=-1)
        return F.normalize(self.projection(h), dim=-1)

    def training_step(self, batch):
        first, second = batch
        return nt_xent_loss(self(first), self(second), self.loss_temperature)


def fit_one(model, optimizer, batch):
    loss = model.training_step(batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
