import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model, optimizer = half.build()
    images = torch.rand(2, 3, 4, 6)
    images[1] = 0  # of a black image every pixel looks alike: a query masks all of it or none
    classes, targets = torch.randint(0, 4, (2, 4)), torch.rand(2, 4, 4, 6).round()
    return Drive(model, images, step=lambda: half.train_one_epoch(model, optimizer, [(images, classes, targets)]))


def symptom(half):
    return not bool(drive(half).step().isfinite())
