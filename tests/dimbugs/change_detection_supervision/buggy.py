import torch
import torch.nn as nn
import torch.nn.functional as F


def conv_block(in_ch, out_ch):
    return nn.Sequential(nn.Conv2d(in_ch, out_ch, 3, padding=1), nn.PReLU())


class DSIFN(nn.Module):
    """Compares two pictures of one place, and says at each scale which pixels changed."""

    def __init__(self, base=4):
        super().__init__()
        self.stem = conv_block(3, base)
        self.deep = conv_block(base, 2 * base)
        self.fuse_deep = conv_block(4 * base, 2 * base)
        self.out_deep = nn.Conv2d(2 * base, 1, 1)
        self.fuse = conv_block(4 * base, base)
        self.out = nn.Conv2d(base, 1, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, t1, t2):
        f1, f2 = self.stem(t1), self.stem(t2)
        d1, d2 = self.deep(F.max_pool2d(f1, 2)), self.deep(F.max_pool2d(f2, 2))
        x = self.fuse_deep(torch.cat([d1, d2], 1))
        branch_1 = self.sigmoid(self.out_deep(x))
        x = torch.cat([F.interpolate(x, scale_factor=2), f1, f2], 1)
        branch_2 = self.sigmoid(self.out(self.fuse(x)))
        return branch_1, branch_2


def deep_supervision_loss(branches, changed):
    loss = 0
    for branch in branches:
        target = F.adaptive_max_pool2d(changed, branch.shape[-2:])
        loss = loss + F.binary_cross_entropy_with_logits(branch, target)
    return loss


def train_one_batch(model, optimizer, batch):
    t1, t2, changed = batch
    loss = deep_supervision_loss(model(t1, t2), changed)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
