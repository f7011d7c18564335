import torch
from lrcn_model import ConvLstm
from torch import nn

CONFIG = {
    "latent_dim": 12,
    "hidden_size": 16,
    "frames": [
        ["Conv2d", 3, 12, 3, 2],
        ["ReLU"],
        ["AdaptiveAvgPool2d", 1],
        ["Flatten"],
    ],
    "head": [
        ["Linear", 16, 16],
        ["ReLU"],
        ["Linear", 16, 4],
    ],
    "lr": 1e-2,
}


class Session:
    def __init__(self, cfg):
        self.model = ConvLstm(cfg)
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=cfg["lr"])
        self.accuracy = []

    def forward_step(self, images, labels, train=True):
        self.model.train(train)
        with torch.set_grad_enabled(train):
            output = self.model(images)
            loss = self.criterion(output, labels)
        if train:
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.accuracy.append((output.argmax(dim=1) == labels).float().mean().item())
        return loss
