import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    animat = half.Animat()
    sensation = torch.randn(5)
    return Drive(animat.neurons, torch.randn(3, 5), step=lambda: animat.live(sensation, lambda action: 1.0))


def symptom(half):
    run = drive(half)
    run.step()
    return not sums_to_one(half.action_probabilities(run.model), -1)
