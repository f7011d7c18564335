import torch
from torch import nn
from torch.nn import functional as F


class Hourglass(nn.Module):
    """Looks at an image in two sizes and marks its foreground."""

    def __init__(self, classes=1, width=8):
        super().__init__()
        self.classes = classes
        self.fine = nn.Conv2d(1, width, 3, padding=1)
        self.coarse = nn.Conv2d(width, width, 3, padding=1)
        self.mark = nn.Conv2d(2 * width, classes, 1)

    def forward(self, images):
        fine = torch.relu(self.fine(images))
        coarse = torch.relu(self.coarse(F.avg_pool2d(fine, 2)))
        coarse = F.interpolate(coarse, size=fine.shape[-2:])
        return self.mark(torch.cat([fine, coarse], dim=1))
