import torch
import torch.nn as nn
from yolo_head import YoloHead

CFG = {"CLASSES": 3, "ANCHORS": [[1.25, 1.625], [2.0, 3.75]], "STRIDE": 4, "LR": 2e-2}


class YoloLoss(nn.Module):
    def __init__(self, box_gain=0.01):
        super().__init__()
        self.box_gain = box_gain
        self.bce = nn.BCEWithLogitsLoss(reduction="none")

    def forward(self, p, label):
        """Both of shape [bs, h, w, anchors, 4 + 1 + classes]."""
        obj = label[..., 4:5]
        loss_box = obj * (p[..., :4] - label[..., :4]).abs()
        loss_conf = self.bce(p[..., 4:5], obj)
        loss_cls = obj * self.bce(p[..., 5:], label[..., 5:])
        return (self.box_gain * loss_box.sum() + loss_conf.sum() + loss_cls.sum()) / p.size(0)


def build_model(cfg=CFG):
    channels = len(cfg["ANCHORS"]) * (5 + cfg["CLASSES"])
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(16, channels, 3, stride=2, padding=1),
        YoloHead(cfg["CLASSES"], cfg["ANCHORS"], cfg["STRIDE"]),
    )


class Trainer:
    def __init__(self, model, cfg=CFG):
        self.yolo = model
        self.criterion = YoloLoss()
        self.optimizer = torch.optim.Adam(model.parameters(), lr=cfg["LR"])

    def train_step(self, imgs, label):
        self.optimizer.zero_grad()
        loss = self.criterion(self.yolo(imgs), label)
        loss.backward()
        self.optimizer.step()
        return loss
