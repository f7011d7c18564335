import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    learner = half.Learner()
    texts = torch.randint(0, 20, (4, 6)), torch.randint(0, 20, (4, 3, 5))
    right = torch.tensor([0, 2, 1, 1])
    return Drive(learner.model, texts, F.cross_entropy, right, step=lambda: learner.step(*texts, right))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3) - 1e-3)
