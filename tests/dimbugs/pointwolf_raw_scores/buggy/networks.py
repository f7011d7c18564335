import torch
import torch.nn as nn
import torch.nn.functional as F


class DGCNN(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv1d(6, 16, 1)
        self.linear = nn.Linear(16, num_classes)

    def forward(self, x):
        x = torch.cat([x, x - x.mean(dim=2, keepdim=True)], dim=1)
        x = F.leaky_relu(self.conv(x), negative_slope=0.2).amax(dim=2)
        return F.log_softmax(self.linear(x), dim=1)


class PointNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.conv = nn.Conv1d(3, 16, 1)
        self.linear1 = nn.Linear(16, 16)
        self.linear2 = nn.Linear(16, num_classes)

    def forward(self, x):
        x = F.relu(self.conv(x)).amax(dim=2)
        x = F.relu(self.linear1(x))
        return self.linear2(x)


def build(name, num_classes):
    return {"dgcnn": DGCNN, "pointnet": PointNet}[name](num_classes)
