import torch
import torch.nn as nn

from .config import Config
from .model import SequenceClassifier


def setup():
    config = Config()
    model = SequenceClassifier(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    return model, nn.CrossEntropyLoss(), optimizer


def train_step(model, criterion, optimizer, ids, labels):
    model.train()
    outputs = model(ids)
    loss = criterion(outputs, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
