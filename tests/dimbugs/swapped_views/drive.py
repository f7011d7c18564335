import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    recipe = half.Discoverer()
    images = torch.randn(6, 3, 6, 7)
    views, labels = [images, images.flip(-1)], torch.tensor([0, 1, -1, 2, -1, -1])
    return Drive(recipe.model, images, step=lambda: recipe.fit([(views, labels)]))


def symptom(half):
    """Whether predictions that are right, of images of one class, cost anything."""
    targets = F.one_hot(torch.full((2, 4), 1), 5).float()
    return float(half.Discoverer().cross_entropy_loss(10 * targets, targets)) > 0.5
