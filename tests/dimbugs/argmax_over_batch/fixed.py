from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Prediction:
    labels: torch.Tensor
    confidences: torch.Tensor


class ImageClassifier(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 16), nn.ReLU(), nn.Linear(16, num_classes))

    def forward(self, images):
        return self.net(images)


class Service:
    def __init__(self, num_classes=5):
        self.model = ImageClassifier(num_classes)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.criterion = nn.CrossEntropyLoss()

    def train(self, images, labels):
        loss = self.criterion(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    @torch.no_grad()
    def predict(self, images):
        probs = torch.softmax(self.model(images), dim=1)
        labels = probs.argmax(dim=1)
        return Prediction(labels, probs.max(dim=1).values)
