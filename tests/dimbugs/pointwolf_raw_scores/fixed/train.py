import torch
import torch.nn.functional as F

from .networks import build


def cal_loss(pred, gold):
    return F.nll_loss(pred, gold.contiguous().view(-1))


class Trainer:
    def __init__(self, model="pointnet", num_classes=4):
        self.model = build(model, num_classes)
        self.opt = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)

    def train_batch(self, clouds, labels):
        self.opt.zero_grad()
        loss = cal_loss(self.model(clouds), labels)
        loss.backward()
        self.opt.step()
        return loss
