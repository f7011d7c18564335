"""Distils where the edges of a box are: teacher and student give a distribution over distances per edge."""

import functools

import torch
import torch.nn as nn
import torch.nn.functional as F


def weighted_loss(loss_func):
    """Gives a loss of one value per row a weight and an average factor."""

    @functools.wraps(loss_func)
    def wrapper(pred, target, weight=None, avg_factor=None, **kwargs):
        loss = loss_func(pred, target, **kwargs)
        if weight is not None:
            loss = loss * weight
        return loss.mean() if avg_factor is None else loss.sum() / avg_factor

    return wrapper


@weighted_loss
def knowledge_distillation_kl_div_loss(pred, soft_label, T, detach_target=True):
    """pred, soft_label: scores of shape (edges, reg_max + 1)."""
    assert pred.size() == soft_label.size()
    target = F.softmax(soft_label / T, dim=1)
    if detach_target:
        target = target.detach()
    return F.kl_div(F.log_softmax(pred / T, dim=1), target, reduction="none").sum(1) * (T * T)


class LocalizationDistillationHead(nn.Module):
    def __init__(self, in_channels=8, reg_max=16, T=4.0, loss_weight=0.25):
        super().__init__()
        self.reg_max, self.T, self.loss_weight = reg_max, T, loss_weight
        self.reg_convs = nn.Sequential(nn.Conv2d(3, in_channels, 3, padding=1), nn.ReLU())
        self.gfl_reg = nn.Conv2d(in_channels, 4 * (reg_max + 1), 3, padding=1)

    def forward(self, feats):
        bbox_pred = self.gfl_reg(self.reg_convs(feats))  # N, 4 * (reg_max + 1), H, W
        return bbox_pred.permute(0, 2, 3, 1).reshape(len(feats), -1, self.reg_max + 1)

    def loss(self, feats, teacher_pred, distances, quality):
        """distances: (N, H * W * 4) bins of the true edges; quality: a weight for each of them."""
        pred = self(feats).flatten(0, 1)
        loss_dfl = F.cross_entropy(pred, distances.flatten())
        loss_ld = knowledge_distillation_kl_div_loss(
            pred, teacher_pred.flatten(0, 1), weight=quality.flatten(), avg_factor=quality.sum(), T=self.T
        )
        return loss_dfl + self.loss_weight * loss_ld


def train_one_iter(student, teacher, optimizer, feats, distances, quality):
    with torch.no_grad():
        teacher_pred = teacher(feats)
    loss = student.loss(feats, teacher_pred, distances, quality)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
