import torch
import torch.nn as nn
import torch.nn.functional as F


class FaceEncoder(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv2(F.leaky_relu(self.conv1(x), 0.2))


class MakeupTransfer(nn.Module):
    def __init__(self, channels=8, sharpness=5.0):
        super().__init__()
        self.sharpness = sharpness
        self.semantic = FaceEncoder(channels)
        self.style = FaceEncoder(channels)
        self.to_rgb = nn.Conv2d(channels, 3, 1)

    @staticmethod
    def unit_columns(feat):
        feat = feat.view(feat.size(0), feat.size(1), -1)
        return F.normalize(feat - feat.mean(dim=1, keepdim=True), dim=1)

    def correspondence(self, source, reference):
        fa = self.unit_columns(self.semantic(source))  # n, c, hw
        fb = self.unit_columns(self.semantic(reference))  # n, c, hw
        energy = torch.bmm(fb.transpose(-2, -1), fa) * self.sharpness  # n, hw, hw
        return F.softmax(energy, dim=1)

    def warp(self, feat, corr):
        n, c, h, w = feat.size()
        return torch.bmm(feat.view(n, c, h * w), corr).view(n, c, h, w)

    def forward(self, source, reference):
        corr = self.correspondence(source, reference)
        makeup = self.warp(self.style(reference), corr)
        return source + torch.tanh(self.to_rgb(makeup))


def train_step(net, optim, source, reference, pseudo):
    loss = F.l1_loss(net(source, reference), pseudo)
    optim.zero_grad()
    loss.backward()
    optim.step()
    return loss
