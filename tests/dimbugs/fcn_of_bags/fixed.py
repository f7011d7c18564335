import torch
import torch.nn.functional as F
from torch import nn, optim


def onehot(masks, n):
    """(batch, height, width) of class numbers to (batch, n, height, width)."""
    return F.one_hot(masks, n).permute(0, 3, 1, 2).float()


class FCN8s(nn.Module):
    def __init__(self, n_class, width=8):
        super().__init__()
        self.stage1 = self._stage(3, width)
        self.stage2 = self._stage(width, 2 * width)
        self.stage3 = self._stage(2 * width, 4 * width)
        self.up3 = nn.ConvTranspose2d(4 * width, 2 * width, kernel_size=2, stride=2)
        self.up2 = nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2)
        self.up1 = nn.ConvTranspose2d(width, width, kernel_size=2, stride=2)
        self.classifier = nn.Conv2d(width, n_class, kernel_size=1)

    @staticmethod
    def _stage(cin, cout):
        return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))

    def forward(self, x):
        x1 = self.stage1(x)
        x2 = self.stage2(x1)
        x3 = self.stage3(x2)
        score = F.relu(self.up3(x3)) + x2
        score = F.relu(self.up2(score)) + x1
        score = F.relu(self.up1(score))
        return self.classifier(score)


def make_train_step(fcn, lr, momentum=0.7):
    optimizer = optim.SGD(fcn.parameters(), lr=lr, momentum=momentum)

    def train_step(bags, masks):
        optimizer.zero_grad()
        output = fcn(bags)
        loss = F.binary_cross_entropy_with_logits(output, onehot(masks, output.shape[1]))
        loss.backward()
        optimizer.step()
        return loss

    return train_step


@torch.no_grad()
def predict(fcn, bags):
    return fcn(bags).argmax(dim=1)
