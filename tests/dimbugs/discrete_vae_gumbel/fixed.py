import torch
from torch import nn
from torch.nn import functional as F


class VisualWords(nn.Module):
    """Writes an image as a grid of words of a learned vocabulary, and paints it again from them."""

    def __init__(self, vocabulary=16, word_size=8, width=8, temperature=0.9):
        super().__init__()
        self.temperature = temperature
        self.write = nn.Sequential(nn.Conv2d(3, width, 2, stride=2), nn.SiLU(), nn.Conv2d(width, vocabulary, 1))
        self.words = nn.Parameter(torch.randn(vocabulary, word_size))
        self.paint = nn.Sequential(nn.ConvTranspose2d(word_size, width, 2, stride=2), nn.SiLU(), nn.Conv2d(width, 3, 1))

    def draw(self, images):
        scores = self.write(images)
        return F.gumbel_softmax(scores, self.temperature, dim=1)

    def forward(self, images):
        chosen = self.draw(images)
        meaning = torch.tensordot(chosen, self.words, dims=([1], [0])).movedim(-1, 1)
        return self.paint(meaning)

    @torch.no_grad()
    def tokens(self, images):
        return self.write(images).argmax(dim=1)


def fit(model, optimizer, images):
    loss = F.mse_loss(model(images), images)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
