import torch
import torch.nn as nn


class Activation(nn.Module):
    def __init__(self, name, **params):
        super().__init__()
        if name is None or name == "identity":
            self.activation = nn.Identity(**params)
        elif name == "sigmoid":
            self.activation = nn.Sigmoid()
        elif name == "softmax":
            self.activation = nn.Softmax(dim=1, **params)
        elif name == "logsoftmax":
            self.activation = nn.LogSoftmax(dim=1, **params)
        else:
            raise ValueError(f"Activation should be a name; got {name}")

    def forward(self, x):
        return self.activation(x)


class SegmentationHead(nn.Sequential):
    def __init__(self, in_channels, out_channels, kernel_size=3, activation=None, upsampling=1):
        conv2d = nn.Conv2d(in_channels, out_channels, kernel_size=kernel_size, padding=kernel_size // 2)
        upsampling = nn.UpsamplingBilinear2d(scale_factor=upsampling) if upsampling > 1 else nn.Identity()
        super().__init__(conv2d, upsampling, Activation(activation))


class Linknet(nn.Module):
    def __init__(self, classes, activation="softmax", width=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, width, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.decoder = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True))
        self.segmentation_head = SegmentationHead(width, classes, activation=activation, upsampling=2)

    def forward(self, x):
        features = self.encoder(x)
        return self.segmentation_head(features + self.decoder(features))


def dice_loss(y_pr, y_gt, eps=1.0):
    tp = torch.sum(y_gt * y_pr, dim=(0, 2, 3))
    total = torch.sum(y_gt, dim=(0, 2, 3)) + torch.sum(y_pr, dim=(0, 2, 3))
    return 1 - ((2 * tp + eps) / (total + eps)).mean()


def batch_update(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = dice_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
