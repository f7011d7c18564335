import warnings

import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    agent = half.A3C()
    states, actions, advantages = torch.rand(4, half.S_INFO, half.S_LEN), torch.tensor([0, 3, 5, 2]), torch.randn(4)
    return Drive(agent.actor, states, step=lambda: agent.updateActor(states, actions, advantages))


def symptom(half):
    """Whether torch warns that it had to guess."""
    run = drive(half)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.model(run.example_input)
    return any("Implicit dimension choice" in str(warning.message) for warning in caught)
