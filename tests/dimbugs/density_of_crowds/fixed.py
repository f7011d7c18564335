import torch
import torch.nn as nn
import torch.nn.functional as F


class CMTL(nn.Module):
    """Counts a crowd, and tells which of ten levels of density it has."""

    def __init__(self, num_classes=10):
        super(CMTL, self).__init__()
        self.base_layer = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.PReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.hl_prior = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(8, 4, 3, padding=1), nn.PReLU())
        self.hl_prior_fc = nn.Linear(4 * 4 * 4, num_classes)
        self.de_stage = nn.Sequential(nn.PReLU(), nn.Conv2d(8, 1, 1))

    def forward(self, im_data):
        x = self.base_layer(im_data)
        hl = F.adaptive_avg_pool2d(self.hl_prior(x), (4, 4))
        density_cls_score = self.hl_prior_fc(hl.view(hl.size(0), -1))
        return self.de_stage(x), density_cls_score


class CrowdCounter(nn.Module):
    def __init__(self, ce_weights=None):
        super(CrowdCounter, self).__init__()
        self.CCN = CMTL()
        self.loss_mse_fn = nn.MSELoss()
        self.loss_bce_fn = nn.BCELoss(weight=ce_weights)

    @property
    def loss(self):
        return self.loss_mse + 0.0001 * self.cross_entropy

    def forward(self, im_data, gt_data=None, gt_cls_label=None):
        density_map, density_cls_score = self.CCN(im_data)
        density_cls_prob = F.softmax(density_cls_score, dim=1)
        if self.training and gt_data is not None:
            self.loss_mse = self.loss_mse_fn(density_map, gt_data)
            self.cross_entropy = self.loss_bce_fn(density_cls_prob, gt_cls_label)
        return density_map, density_cls_prob


def train_step(net, optimizer, blob):
    net(blob["data"], blob["gt_density"], blob["gt_class_label"])
    loss = net.loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
