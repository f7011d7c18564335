import torch
from torch.nn import functional as F

from .model import PixelReader


class Recipe:
    """A model, its loss and its optimiser, as a trainer wants them."""

    def __init__(self, lr=0.05):
        self.net = PixelReader()
        self.lr = lr
        self.logged = {}

    def configure_optimizers(self):
        return torch.optim.Adam(self.net.parameters(), lr=self.lr)

    def training_step(self, batch):
        pixels, kinds = batch
        prediction = self.net(pixels)
        self.logged["accuracy"] = (prediction.argmax(dim=1) == kinds).float().mean().item()
        return F.cross_entropy(prediction, kinds)


class Trainer:
    def __init__(self, recipe):
        self.recipe = recipe
        self.optimizer = recipe.configure_optimizers()

    def advance(self, batch):
        loss = self.recipe.training_step(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
