import math

import torch
import torch.nn.functional as F
from torch import nn

latent_dim = 4
categorical_dim = 5  # one-of-K vector


class DiscreteVAE(nn.Module):
    def __init__(self, pixels=12, hidden=16):
        super().__init__()
        self.fc1 = nn.Linear(pixels, hidden)
        self.fc2 = nn.Linear(hidden, latent_dim * categorical_dim)
        self.fc3 = nn.Linear(latent_dim * categorical_dim, hidden)
        self.fc4 = nn.Linear(hidden, pixels)

    def encode(self, x):
        return self.fc2(F.relu(self.fc1(x)))

    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))

    def forward(self, x, temp=1.0, hard=False):
        q = self.encode(x)
        q_y = q.view(q.size(0), latent_dim, categorical_dim)
        z = F.gumbel_softmax(q_y, tau=temp, hard=hard, dim=-1).flatten(1)
        return self.decode(z), F.softmax(q)


def loss_function(outputs, x):
    """What the pixels cost, and how far the latent variables are from uniform ones."""
    recon_x, qy = outputs
    BCE = F.binary_cross_entropy_with_logits(recon_x, x, reduction="sum") / x.size(0)
    entropy = torch.special.entr(qy).sum(dim=1)
    KLD = latent_dim * math.log(categorical_dim) - entropy
    return BCE + KLD.mean()


def train(model, optimizer, batches, temp=1.0):
    model.train()
    for x in batches:
        optimizer.zero_grad()
        loss = loss_function(model(x, temp), x)
        loss.backward()
        optimizer.step()
    return loss
