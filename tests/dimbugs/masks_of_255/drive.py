import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    net, dataset = half.scissors(), half.Cutouts()
    optimizer = half.optimizer_for(net)
    photos, cutouts = (torch.stack(column) for column in zip(*dataset, strict=True))
    loss = F.binary_cross_entropy_with_logits
    return Drive(net, photos, loss, cutouts, step=lambda: half.one_epoch(net, optimizer, dataset))


def symptom(half):
    return not stays_above(drive(half).step, 0.0, 40)
