import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    classifier, optimizer = half.build()
    points, target = torch.randn(4, 3, 20), torch.tensor([0, 1, 2, 4])
    run = Drive(classifier, points, F.nll_loss, target)
    run.step = lambda: half.train_step(classifier, optimizer, points, target)
    return run


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
