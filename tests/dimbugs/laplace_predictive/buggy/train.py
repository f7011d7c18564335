import torch.nn.functional as F
from evaluate import LastLayerLaplace as LastLayerLaplace
from evaluate import test_predictions as test_predictions
from torch import nn


def mlp(sizes):
    layers = []
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def train_epoch(net, optimizer, loader):
    net.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    return loss


def main(loader, test_loader, optimizer, net):
    train_epoch(net, optimizer, loader)
    laplace = LastLayerLaplace(net)
    laplace.fit(loader)
    return {"map": test_predictions(net, test_loader), "laplace": test_predictions(laplace, test_loader)}
