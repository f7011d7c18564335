import torch
import torch.nn as nn
import torch.nn.functional as F


class PointFeatures(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.conv1 = nn.Conv1d(3, 16, 1)
        self.conv2 = nn.Conv1d(16, width, 1)

    def forward(self, points):
        x = F.relu(self.conv1(points))
        x = self.conv2(x)
        return torch.max(x, 2)[0]


class PointCloudClassifier(nn.Module):
    def __init__(self, k=5):
        super().__init__()
        self.features = PointFeatures()
        self.fc1 = nn.Linear(32, 16)
        self.fc2 = nn.Linear(16, k)

    def forward(self, points):
        x = self.features(points)
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return F.log_softmax(x, dim=0)
