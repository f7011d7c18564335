import torch
import torch.nn as nn
import torch.nn.functional as F


class GatedConv(nn.Module):
    """Lets the shape stream see what matters of the regular one."""

    def __init__(self, shape_channels, regular_channels):
        super().__init__()
        self.gate = nn.Sequential(nn.Conv2d(shape_channels + regular_channels, 1, 1), nn.Sigmoid())
        self.conv = nn.Conv2d(shape_channels, shape_channels, 1)

    def forward(self, shape, regular):
        alphas = self.gate(torch.cat([shape, regular], dim=1))
        return self.conv(shape * (alphas + 1))


class GSCNN(nn.Module):
    def __init__(self, num_classes, width=8):
        super().__init__()
        self.mod1 = nn.Conv2d(3, width, 3, padding=1)
        self.mod2 = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.gate1 = GatedConv(width, width)
        self.fuse = nn.Conv2d(width, 1, 1, bias=False)
        self.sigmoid = nn.Sigmoid()
        self.final_seg = nn.Conv2d(width + 1, num_classes, 1)

    def forward(self, x):
        m1 = F.relu(self.mod1(x))
        m2 = F.relu(self.mod2(m1))
        cs = self.fuse(self.gate1(m1, m2))
        edge_out = self.sigmoid(cs)
        seg_out = self.final_seg(torch.cat([m2, edge_out], dim=1))
        return seg_out, cs


class JointEdgeSegLoss(nn.Module):
    def __init__(self, edge_weight=1.0, seg_weight=1.0):
        super().__init__()
        self.edge_weight, self.seg_weight = edge_weight, seg_weight

    def bce2d(self, edgein, edgemask):
        """Edges are few: each of both kinds of pixels counts by how many there are of the other."""
        share = edgemask.mean()
        weight = torch.where(edgemask > 0, 1 - share, share) if 0 < share < 1 else None
        return F.binary_cross_entropy_with_logits(edgein, edgemask, weight)

    def forward(self, inputs, targets):
        (segin, edgein), (segmask, edgemask) = inputs, targets
        loss = self.seg_weight * F.cross_entropy(segin, segmask)
        return loss + self.edge_weight * self.bce2d(edgein, edgemask)


def train(net, criterion, optim, images, targets):
    optim.zero_grad()
    main_loss = criterion(net(images), targets)
    main_loss.backward()
    optim.step()
    return main_loss
