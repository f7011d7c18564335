"""Semi-supervised segmentation of scans: a student learns from labels and from a slowly moving teacher."""

import argparse
import copy

import torch
from torch import nn
from torch.nn import functional as F


def get_args(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_classes", type=int, default=2)
    parser.add_argument("--base_lr", type=float, default=0.01)
    parser.add_argument("--ema_decay", type=float, default=0.99)
    parser.add_argument("--consistency", type=float, default=0.1)
    return parser.parse_args(argv)


class VNetTiny(nn.Module):
    def __init__(self, n_channels=1, n_classes=2, n_filters=8):
        super().__init__()
        self.block_one = nn.Conv3d(n_channels, n_filters, 3, padding=1)
        self.block_two = nn.Conv3d(n_filters, n_filters, 3, padding=1)
        self.out_conv = nn.Conv3d(n_filters, n_classes, 1)

    def forward(self, volume):
        x = F.relu(self.block_one(volume))
        x = F.relu(self.block_two(x)) + x
        return self.out_conv(x)


def update_ema(student, teacher, alpha):
    for ema_param, param in zip(teacher.parameters(), student.parameters()):
        ema_param.data.mul_(alpha).add_(param.data, alpha=1 - alpha)


def confidence(logits):
    """How sure the teacher is of each scan, (b, c, d, h, w) -> (b,)."""
    probs = F.softmax(logits, dim=-1)
    return probs.amax(dim=1).mean(dim=(1, 2, 3))


def train_step(student, teacher, optimizer, labeled, unlabeled, args):
    volumes, masks = labeled
    loss_seg = F.cross_entropy(student(volumes), masks)

    with torch.no_grad():
        logits_tea = teacher(unlabeled + 0.1 * torch.randn_like(unlabeled).clamp(-2, 2))
    weight = confidence(logits_tea)
    gap = (student(unlabeled).softmax(dim=1) - logits_tea.softmax(dim=1)) ** 2
    loss_cons = (weight * gap.mean(dim=(1, 2, 3, 4))).mean()

    loss = loss_seg + args.consistency * loss_cons
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    update_ema(student, teacher, args.ema_decay)
    return loss


def create_models(args):
    student = VNetTiny(n_classes=args.num_classes)
    teacher = copy.deepcopy(student)
    for param in teacher.parameters():
        param.detach_()
    return student, teacher
