import math

import torch

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.build_model()
    trainer = half.Trainer(model)
    images, label = torch.randn(2, 3, 8, 12), torch.zeros(2, 2, 3, 2, 8)
    label[:, 1, 2, 0] = torch.tensor([9.0, 6.0, 5.0, 7.0, 1.0, 0.0, 1.0, 0.0])
    return Drive(model, images, half.YoloLoss(), label, step=lambda: trainer.train_step(images, label))


def symptom(half):
    """Whether images without an object keep the loss of an even chance at each of the 12 anchors."""
    run = drive(half)
    trainer, empty = half.Trainer(run.model), torch.zeros_like(run.target)
    return stays_above(lambda: trainer.train_step(run.example_input, empty), 12 * math.log(2) - 1e-3)
