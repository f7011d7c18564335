import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    policy = half.make_policy()
    obs, act, returns = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]), torch.rand(6)
    return Drive(policy.actor, obs, step=lambda: policy.learn(obs, act, returns))


def symptom(half):
    """Whether adding the same to all scores of a state changes how likely its actions are."""
    policy = half.make_policy()
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    before, after = policy.dist_fn(scores), policy.dist_fn(scores + 5)
    return not torch.allclose(before.probs, after.probs)
