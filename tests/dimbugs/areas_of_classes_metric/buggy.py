import torch
from torch import nn, optim


def conv_layer(ni, nf):
    return nn.Sequential(nn.Conv2d(ni, nf, 3, padding=1, bias=False), nn.GroupNorm(2, nf), nn.ReLU(inplace=True))


def simple_unet(c, nf=8):
    return nn.Sequential(conv_layer(3, nf), conv_layer(nf, nf), nn.Conv2d(nf, c, 1))


def decide(preds):
    """How sure a network is of each pixel, and of which class."""
    return preds.softmax(dim=1).max(-1)


def confidence(preds, targs):
    return decide(preds).values.mean()


def area_error(preds, targs):
    """How far the areas of the classes, as shares of a picture, are off on average."""
    found = decide(preds).indices
    errors = [(found == c).float().mean() - (targs == c).float().mean() for c in range(preds.shape[1])]
    return torch.stack(errors).abs().mean()


class Learner:
    def __init__(self, model, loss_func=nn.CrossEntropyLoss(), lr=1e-2, metrics=(confidence, area_error)):
        self.model, self.loss_func, self.metrics = model, loss_func, metrics
        self.opt = optim.Adam(model.parameters(), lr=lr)
        self.history = []

    def one_batch(self, xb, yb):
        preds = self.model(xb)
        loss = self.loss_func(preds, yb)
        loss.backward()
        self.opt.step()
        self.opt.zero_grad(set_to_none=False)
        self.history.append([metric(preds.detach(), yb).item() for metric in self.metrics])
        return loss
