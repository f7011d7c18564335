import torch
from torch import nn, softmax


class CatOrFish(nn.Module):
    def __init__(self, pixels=48, hidden=20):
        super(CatOrFish, self).__init__()
        self.hidden = nn.Linear(pixels, hidden)
        self.kinds = nn.Linear(hidden, 2)

    def forward(self, photos):
        flat = photos.flatten(start_dim=1)
        return self.kinds(torch.relu(self.hidden(flat)))


@torch.no_grad()
def share_of_hits(net, photo_batches):
    net.eval()
    hits, seen = 0, 0
    for photos, kinds in photo_batches:
        chances = softmax(net(photos), dim=0)
        guessed = chances.max(dim=1).indices
        hits += int((guessed == kinds).sum())
        seen += len(kinds)
    net.train()
    return hits / seen


def train(net, criterion, optimizer, photo_batches, held_out):
    for photos, kinds in photo_batches:
        loss = criterion(net(photos), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss, share_of_hits(net, held_out)
