import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    training = half.Run()
    images = torch.randn(2, 1, 8, 12)
    foreground = (images > 0).float()
    run = Drive(training.net, images, F.binary_cross_entropy_with_logits, foreground)
    run.step = lambda: training.step(images, foreground)
    return run


def symptom(half):
    return stays_above(drive(half).step, 0.45)
