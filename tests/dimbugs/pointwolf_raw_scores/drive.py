import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, stays_above


def drive(half):
    torch.manual_seed(0)
    trainer = half.Trainer()
    clouds, labels = torch.randn(4, 3, 12), torch.tensor([0, 1, 2, 3])
    return Drive(trainer.model, clouds, F.nll_loss, labels, step=lambda: trainer.train_batch(clouds, labels))


def symptom(half):
    return not stays_above(drive(half).step, 0.0)
