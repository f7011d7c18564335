import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical


class ConcreteDropout(nn.Module):
    """Dropout whose rate is learned: a relaxed Bernoulli mask."""

    def __init__(self, init=0.1, temperature=0.1):
        super().__init__()
        self.p_logit = nn.Parameter(torch.logit(torch.tensor(init)))
        self.temperature = temperature

    def regularisation(self):
        return -Categorical(logits=torch.stack([self.p_logit, torch.zeros_like(self.p_logit)])).entropy()

    def forward(self, x):
        noise = torch.logit(torch.rand_like(x), eps=1e-6)
        drop = torch.sigmoid((self.p_logit + noise) / self.temperature)
        return x * (1 - drop) / (1 - torch.sigmoid(self.p_logit))


class DigitNet(nn.Module):
    def __init__(self, num_classes=5):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.fc1 = nn.Linear(8 * 4 * 4, 32)
        self.fc2 = nn.Linear(32, num_classes)
        self.cd = ConcreteDropout()

    def forward(self, x):
        x = F.relu(self.conv(x)).flatten(1)
        x = F.relu(self.fc1(self.cd(x)))
        return self.fc2(x)


def train(net, optimizer, train_loader, reg_weight=1e-4):
    net.train()
    for data, target in train_loader:
        optimizer.zero_grad()
        output = net(data)
        loss = F.cross_entropy(output, target) + reg_weight * net.cd.regularisation()
        loss.backward()
        optimizer.step()
    return loss


@torch.no_grad()
def predict(net, data, passes=20):
    """The class of each image and how unsure the passes are about it, in nats."""
    mean = torch.stack([F.softmax(net(data), dim=1) for _ in range(passes)]).mean(dim=0)
    return mean.argmax(dim=1), Categorical(probs=mean).entropy()
