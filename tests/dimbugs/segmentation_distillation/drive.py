import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    adaptation = half.Adaptation()
    rendered, photos = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    labels = torch.randint(0, 4, (2, 5, 7))
    run = Drive(adaptation.student, rendered, F.cross_entropy, labels)
    run.step = lambda: adaptation.step(rendered, labels, photos)
    return run


def symptom(half):
    """Whether a student that equals its teacher is not at divergence 0."""
    scores = torch.randn(2, 4, 3, 3)
    return abs(float(half.disagreement(scores, scores))) > 1e-3
