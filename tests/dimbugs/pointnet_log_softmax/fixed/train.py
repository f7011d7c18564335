import torch.nn.functional as F
import torch.optim as optim

from .model import PointCloudClassifier


def build(num_classes=5):
    classifier = PointCloudClassifier(k=num_classes)
    optimizer = optim.Adam(classifier.parameters(), lr=0.01)
    return classifier, optimizer


def train_step(classifier, optimizer, points, target):
    classifier.train()
    optimizer.zero_grad()
    pred = classifier(points)
    loss = F.nll_loss(pred, target)
    loss.backward()
    optimizer.step()
    return loss
