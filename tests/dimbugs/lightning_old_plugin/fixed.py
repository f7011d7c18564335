import torch
from torch import nn
from torch.nn import functional as F


class TextRecognizer(nn.Module):
    def __init__(self, num_classes=7, hidden=12):
        super().__init__()
        self.columns = nn.Conv2d(1, hidden, (6, 3))
        self.classes = nn.Linear(hidden, num_classes)

    def forward(self, lines):
        columns = F.relu(self.columns(lines)).squeeze(2)
        return self.classes(columns.mean(dim=2))


def training_step(model, optimizer, lines, labels):
    loss = F.cross_entropy(model(lines), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def make_trainer(max_epochs=10, devices=2):
    from pytorch_lightning import Trainer
    from pytorch_lightning.strategies import DDPStrategy

    parallel = DDPStrategy(find_unused_parameters=False)
    return Trainer(max_epochs=max_epochs, devices=devices, strategy=parallel)
