import torch
from torch import nn

from .metrics import CharacterErrorRate


class LineModel(nn.Module):
    """Reads a line of text: (B, 1, H, W) to (B, C, S)."""

    def __init__(self, num_classes=9, height=8):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, (height, 4), stride=(1, 4))
        self.classify = nn.Conv1d(16, num_classes, 1)

    def forward(self, images):
        columns = torch.relu(self.conv(images)).squeeze(2)
        return self.classify(columns)


class Trainer:
    def __init__(self, model):
        self.model = model
        self.loss_fn = nn.CrossEntropyLoss()
        self.train_cer = CharacterErrorRate(ignore_token=0)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def training_step(self, images, targets):
        logits = self.model(images)
        loss = self.loss_fn(logits, targets)
        self.train_cer.update(logits.detach(), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
