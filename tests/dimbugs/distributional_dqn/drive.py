import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    learner = half.QLearner()
    observed, after = torch.randn(5, 6), torch.randn(5, 6)
    taken, rewards = torch.tensor([0, 1, 2, 1, 0]), torch.randn(5)
    return Drive(learner.values, observed, step=lambda: learner.learn(observed, taken, rewards, after))


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
