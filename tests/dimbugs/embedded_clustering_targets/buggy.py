import torch
import torch.nn as nn


class ClusteringLayer(nn.Module):
    """Soft assignments by Student's t-distribution of the distance to each centre."""

    def __init__(self, in_features, out_features, alpha=1.0):
        super(ClusteringLayer, self).__init__()
        self.alpha = alpha
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x):
        x = x.unsqueeze(1) - self.weight
        x = 1.0 + (x * x).sum(dim=2) / self.alpha
        x = x ** (-(self.alpha + 1.0) / 2.0)
        return x / x.sum(dim=1, keepdim=True)


class DCEC(nn.Module):
    def __init__(self, pixels, num_clusters, embedding=4):
        super(DCEC, self).__init__()
        self.encoder = nn.Sequential(nn.Linear(pixels, 12), nn.ReLU(), nn.Linear(12, embedding))
        self.decoder = nn.Sequential(nn.Linear(embedding, 12), nn.ReLU(), nn.Linear(12, pixels))
        self.clustering = ClusteringLayer(embedding, num_clusters)

    def forward(self, x):
        z = self.encoder(x)
        return self.clustering(z), self.decoder(z)


def target(out_distr):
    """The assignments sharpened, and each cluster divided by how many samples it has."""
    tar_dist = out_distr**2 / out_distr.sum(dim=0)
    tar_dist = tar_dist.t() / tar_dist.sum(dim=1)
    return tar_dist.t()


criteria = [nn.MSELoss(), nn.KLDivLoss(reduction="sum")]


def clustering_loss(clusters, tar_dist):
    return criteria[1](clusters, tar_dist) / len(clusters)


def train_batch(model, optimizer, inputs, tar_dist, gamma=0.1):
    clusters, rebuilt = model(inputs)
    loss = criteria[0](rebuilt, inputs) + gamma * clustering_loss(clusters, tar_dist)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
