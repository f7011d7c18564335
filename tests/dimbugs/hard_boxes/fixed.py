import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiBoxLoss(nn.Module):
    """Confidence loss over matched boxes and the hardest of the others."""

    def __init__(self, num_classes, negpos_ratio):
        super().__init__()
        self.num_classes = num_classes
        self.negpos_ratio = negpos_ratio

    def forward(self, conf_data, conf_t):
        num = conf_data.size(0)
        batch_conf = conf_data.reshape(-1, self.num_classes)
        loss_c = F.cross_entropy(batch_conf, conf_t.view(-1), reduction="none")
        loss_c = loss_c.view(num, -1)

        # Hard Negative Mining
        pos = conf_t > 0
        hardness = loss_c.detach().masked_fill(pos, 0)
        _, loss_idx = hardness.sort(1, descending=True)
        _, idx_rank = loss_idx.sort(1)
        num_pos = pos.long().sum(1, keepdim=True)
        num_neg = torch.clamp(self.negpos_ratio * num_pos, max=pos.size(1) - 1)
        neg = (idx_rank < num_neg) & ~pos

        return loss_c[pos | neg].sum() / num_pos.sum().clamp(min=1)


class BoxNet(nn.Module):
    """Class scores of a box at each of 4 x 4 places: (batch, boxes, classes)."""

    def __init__(self, num_classes=3):
        super().__init__()
        self.base = nn.Conv2d(3, 12, 3, stride=2, padding=1)
        self.conf = nn.Conv2d(12, num_classes, 3, padding=1)

    def forward(self, x):
        conf = self.conf(F.relu(self.base(x)))
        return conf.permute(0, 2, 3, 1).flatten(1, 2)


def train_step(net, criterion, optimizer, images, conf_t):
    optimizer.zero_grad()
    loss = criterion(net(images), conf_t)
    loss.backward()
    optimizer.step()
    return loss
