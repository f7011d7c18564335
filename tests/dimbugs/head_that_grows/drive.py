import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    learner = half.IncrementalLearner(in_features=5, classes=2)
    x, y = torch.randn(4, 5), torch.tensor([0, 2, 1, 3])
    return Drive(learner.model, x, F.cross_entropy, y.clamp(max=1), step=lambda: learner.observe(x, y))


def symptom(half):
    try:
        drive(half).step()
    except AttributeError as error:
        return "linear" in str(error)
    return False
