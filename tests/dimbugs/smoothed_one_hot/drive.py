import math

import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    conf = half.Config()
    model = half.build_model(conf)
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 3, 6, 2])
    batches = [(images, labels)]
    run = Drive(model, images, half.SmoothCrossEntropyLoss(conf.lb_smooth), labels)
    run.step = lambda: half.train_and_eval(conf, model, batches, batches)
    return run


def symptom(half):
    """Whether even scores cost more than the logarithm of the number of classes."""
    even = half.SmoothCrossEntropyLoss(0.1)(torch.zeros(2, 7), torch.tensor([1, 4]))
    return float(even) > math.log(7) + 1e-3
