import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    learner = half.Learner(half.simple_unet(c=3))
    xb, yb = torch.rand(2, 3, 6, 10), torch.randint(0, 3, (2, 6, 10))
    return Drive(learner.model, xb, learner.loss_func, yb, step=lambda: learner.one_batch(xb, yb))


def symptom(half):
    """Whether scores that say what the labels say have the areas wrong."""
    targs = torch.randint(0, 3, (2, 6, 10))
    preds = 20 * F.one_hot(targs, 3).permute(0, 3, 1, 2).float()
    return float(half.area_error(preds, targs)) > 0.01
