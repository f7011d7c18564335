import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    matching = half.Matching(half.TwoTowers(5, 6))
    images, texts = torch.randn(7, 5), torch.randn(7, 6)
    return Drive(step=lambda: matching.step(images, texts))


def symptom(half):
    """Whether pairs that match themselves are counted as wrong."""
    towers = half.TwoTowers(4, 4, 4)
    towers.read.load_state_dict(towers.see.state_dict())
    matching = half.Matching(towers)
    matching.step(torch.eye(4) * 3, torch.eye(4) * 3)
    return matching.accuracies[0] < 1
