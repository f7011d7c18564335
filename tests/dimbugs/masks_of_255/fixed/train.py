import torch
from photos import Cutouts
from torch import nn
from torch.utils.data import DataLoader


def scissors(width=8):
    return nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))


def one_epoch(net, optimizer, dataset=None):
    criterion = nn.BCEWithLogitsLoss()
    for photos, cutouts in DataLoader(dataset or Cutouts(), batch_size=4):
        loss = criterion(net(photos), cutouts)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    return loss


def optimizer_for(net):
    return torch.optim.RMSprop(net.parameters(), lr=0.02)
