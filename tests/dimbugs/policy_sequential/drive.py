import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    agent = half.Reinforce()
    states, actions, rewards = torch.randn(6, 4), torch.tensor([0, 1, 1, 0, 1, 0]), torch.ones(6)
    return Drive(agent.policy, states, step=lambda: agent.learn(states, actions, rewards))


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
