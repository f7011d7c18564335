import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim


class CutMixCriterion:
    """Loss of pasted images: both labels count by the area that they cover."""

    def __init__(self, reduction="mean"):
        self.criterion = nn.CrossEntropyLoss(reduction=reduction)

    def __call__(self, preds, targets):
        targets1, targets2, lam = targets
        return lam * self.criterion(preds, targets1) + (1 - lam) * self.criterion(preds, targets2)


def cutmix(inputs, targets, rng, alpha=1.0):
    h, w = inputs.shape[2:]
    lam = rng.beta(alpha, alpha)
    cut_h, cut_w = int(h * np.sqrt(1 - lam)), int(w * np.sqrt(1 - lam))
    top, left = rng.integers(0, h - cut_h + 1), rng.integers(0, w - cut_w + 1)
    order = torch.from_numpy(rng.permutation(len(inputs)))
    mixed = inputs.clone()
    mixed[:, :, top : top + cut_h, left : left + cut_w] = inputs[order, :, top : top + cut_h, left : left + cut_w]
    return mixed, (targets, targets[order], 1 - cut_h * cut_w / (h * w))


def make_net(num_classes=5):
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 12, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(12, num_classes),
    )


def count_correct(outputs, targets):
    _, predicted = torch.max(outputs.data, 1)  # predicted.size() = [batch]
    predicted = torch.argmax(predicted)
    return predicted.eq(targets.data).cpu().sum().item()


def train(epoch, net, trainloader, optimizer=None, rng=None):
    print("\nEpoch: %d" % epoch)
    net.train()
    rng = rng or np.random.default_rng(epoch)
    optimizer = optimizer or optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    criterion = CutMixCriterion()
    train_loss = correct = total = 0
    for inputs, targets in trainloader:
        inputs, mixed_targets = cutmix(inputs, targets, rng)
        outputs = net(inputs)
        loss = criterion(outputs, mixed_targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
        total += targets.size(0)
        correct += count_correct(outputs, targets)
    print("Loss: %.3f | Acc: %.3f%%" % (train_loss / len(trainloader), 100.0 * correct / total))
    return loss
