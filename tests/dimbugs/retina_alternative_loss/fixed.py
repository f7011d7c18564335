import torch
import torch.nn as nn
import torch.nn.functional as F


def one_hot_embedding(labels, num_classes):
    return torch.eye(num_classes)[labels]


class FocalLoss(nn.Module):
    """Loss of an anchor-based detector: focal for the classes, smooth L1 for the boxes."""

    def __init__(self, num_classes=4, alternative=True):
        super().__init__()
        self.num_classes = num_classes
        self.cls_loss = self.focal_loss_alt if alternative else self.focal_loss

    def targets(self, y):
        return one_hot_embedding(y, 1 + self.num_classes)[:, 1:]  # 0 is the background

    def focal_loss(self, x, y, alpha=0.25, gamma=2):
        t = self.targets(y)
        pt = torch.where(t > 0, x.sigmoid(), 1 - x.sigmoid()).detach()
        w = torch.where(t > 0, alpha, 1 - alpha) * (1 - pt).pow(gamma)
        return F.binary_cross_entropy_with_logits(x, t, w, reduction="sum")

    def focal_loss_alt(self, x, y, alpha=0.25):
        t = self.targets(y)
        xt = x * (2 * t - 1)  # x where the class is there, -x where it is not
        log_pt = F.logsigmoid(2 * xt + 1)
        w = alpha * t + (1 - alpha) * (1 - t)
        loss = -w * log_pt / 2
        return loss.sum()

    def forward(self, predictions, targets):
        loc_preds, cls_preds = predictions
        loc_targets, cls_targets = targets  # -1: an anchor to leave out
        pos = cls_targets > 0
        num_pos = pos.sum().clamp(min=1)
        loc_loss = F.smooth_l1_loss(loc_preds[pos], loc_targets[pos], reduction="sum")
        pos_neg = cls_targets > -1
        cls_loss = self.cls_loss(cls_preds[pos_neg], cls_targets[pos_neg])
        return (loc_loss + cls_loss) / num_pos


class RetinaHead(nn.Module):
    def __init__(self, num_classes=4, num_anchors=2):
        super().__init__()
        self.num_classes = num_classes
        self.fpn = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.loc_head = nn.Conv2d(16, num_anchors * 4, 3, padding=1)
        self.cls_head = nn.Conv2d(16, num_anchors * num_classes, 3, padding=1)

    def forward(self, x):
        fm = F.relu(self.fpn(x))
        loc = self.loc_head(fm).permute(0, 2, 3, 1).reshape(x.size(0), -1, 4)
        cls = self.cls_head(fm).permute(0, 2, 3, 1).reshape(x.size(0), -1, self.num_classes)
        return loc, cls


def train(net, criterion, optimizer, dataloader):
    net.train()
    for inputs, targets in dataloader:
        optimizer.zero_grad()
        loss = criterion(net(inputs), targets)
        loss.backward()
        optimizer.step()
    return loss
