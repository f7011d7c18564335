import torch
from torch import nn
from torch.nn import functional as F


class AngleLinear(nn.Module):
    """The cosine of each feature with each person, and that of twice the angle, both times the feature's length."""

    def __init__(self, in_features, people):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(people, in_features))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x):
        length = x.norm(dim=1, keepdim=True)
        cos = F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1)).clamp(-1, 1)
        k = (cos < 0).float()
        phi = (1 - 2 * k) * (2 * cos**2 - 1) - 2 * k
        return cos * length, phi * length


class AngleLoss(nn.Module):
    def __init__(self, gamma=0.0, lamb=5.0, reduction="mean"):
        super().__init__()
        self.gamma, self.lamb, self.reduction = gamma, lamb, reduction

    def forward(self, input, target):
        cos_theta, phi_theta = input
        own = F.one_hot(target, cos_theta.shape[1]).bool()
        output = torch.where(own, (self.lamb * cos_theta + phi_theta) / (1 + self.lamb), cos_theta)

        logpt = F.log_softmax(output, 0)
        logpt = logpt.gather(1, target.view(-1, 1)).view(-1)
        pt = logpt.detach().exp()
        loss = -((1 - pt) ** self.gamma) * logpt
        return loss.mean() if self.reduction == "mean" else loss


class SphereNet(nn.Module):
    def __init__(self, people, width=8, features=12):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 2, 1)
        self.relu1 = nn.PReLU(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1)
        self.relu2 = nn.PReLU(width)
        self.fc5 = nn.Linear(width * 16, features)
        self.fc6 = AngleLinear(features, people)

    def forward(self, x):
        x = self.relu1(self.conv1(x))
        x = x + self.relu2(self.conv2(x))
        return self.fc6(self.fc5(x.flatten(1)))


def train_batch(net, criterion, optimizer, faces, target):
    optimizer.zero_grad()
    loss = criterion(net(faces), target)
    loss.backward()
    optimizer.step()
    return loss
