import torch
import torch.nn as nn


def conv_block(n_in, n_out):
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, n_channels=1, n_classes=3):
        super().__init__()
        self.down = conv_block(n_channels, 8)
        self.pool = nn.MaxPool2d(2)
        self.bottom = conv_block(8, 16)
        self.up = nn.Upsample(scale_factor=2)
        self.join = conv_block(24, 8)
        self.out = nn.Conv2d(8, n_classes, kernel_size=1)
        self.activation = nn.Softmax(dim=-1)

    def forward(self, x):
        skip = self.down(x)
        x = self.bottom(self.pool(skip))
        x = self.join(torch.cat([skip, self.up(x)], dim=1))
        return self.activation(self.out(x))
