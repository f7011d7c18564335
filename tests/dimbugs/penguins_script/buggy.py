"""Tells the species of a penguin by four of its measures."""

import torch
import torch.nn as nn

features = ["CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass"]
penguin_classes = ["Adelie", "Gentoo", "Chinstrap"]
hl = 10  # neurons in each hidden layer


class PenguinNet(nn.Module):
    def __init__(self):
        super(PenguinNet, self).__init__()
        self.fc1 = nn.Linear(len(features), hl)
        self.fc2 = nn.Linear(hl, hl)
        self.fc3 = nn.Linear(hl, len(penguin_classes))

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        x = torch.softmax(self.fc3(x), dim=1)
        return x


loss_criteria = nn.CrossEntropyLoss()


def train_batch(model, data, target, optimizer):
    model.train()
    optimizer.zero_grad()
    out = model(data)
    loss = loss_criteria(out, target)
    loss.backward()
    optimizer.step()
    return loss


def test(model, data_loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in data_loader:
            _, predicted = torch.max(model(data), 1)
            correct += torch.sum(target == predicted).item()
    return correct / len(data_loader.dataset)
