import torch
import torch.nn as nn
import torch.nn.functional as F


class PointNetPartSeg(nn.Module):
    """Names an object from its points, and the part of it that each point is of."""

    def __init__(self, cat_num=4, part_num=6):
        super(PointNetPartSeg, self).__init__()
        self.conv1 = nn.Conv1d(3, 16, 1)
        self.conv2 = nn.Conv1d(16, 32, 1)
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, cat_num)
        self.convs = nn.Conv1d(16 + 32, part_num, 1)

    def forward(self, point_cloud):
        out1 = F.relu(self.conv1(point_cloud))
        out2 = F.relu(self.conv2(out1))
        out_max = torch.max(out2, 2)[0]
        labels_pred = self.fc2(F.relu(self.fc1(out_max)))
        expand = out_max.unsqueeze(-1).expand(-1, -1, point_cloud.size(2))
        seg_pred = self.convs(torch.cat([expand, out1], 1))
        seg_pred = seg_pred.transpose(2, 1).contiguous()
        return F.log_softmax(seg_pred, dim=-1), labels_pred


class PointNetLoss(nn.Module):
    def __init__(self, weight=1.0):
        super(PointNetLoss, self).__init__()
        self.weight = weight

    def forward(self, pred, target):
        (seg_pred, labels_pred), (seg, label) = pred, target
        seg_loss = F.nll_loss(seg_pred.view(-1, seg_pred.size(-1)), seg.view(-1))
        label_loss = F.nll_loss(labels_pred, label)
        return self.weight * seg_loss + (1 - self.weight) * label_loss


def train_epoch(model, optimizer, loader, criterion):
    total = torch.zeros(())
    for points, label, seg in loader:
        optimizer.zero_grad()
        loss = criterion(model(points.transpose(2, 1)), (seg, label))
        loss.backward()
        optimizer.step()
        total = total + loss
    return total / len(loader)
