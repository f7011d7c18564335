import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    trainer = half.Trainer(half.SmallNet())
    images, labels = torch.randn(4, 3, 6, 7), torch.tensor([2, 0, 1, 1])
    return Drive(trainer.net, images, F.cross_entropy, labels, step=lambda: trainer.step(images, labels))


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
