import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    agent = half.A2CAgent(half.CategoricalActorCriticNet(state_dim=4, action_dim=3))
    rollout = torch.randn(5, 4), torch.tensor([0, 2, 1, 1, 0]), torch.randn(5)
    return Drive(agent.network, rollout[0], step=lambda: agent.step(*rollout))


def symptom(half):
    """Whether an actor whose last layer leaves no doubt is in doubt."""
    torch.manual_seed(0)
    network = half.CategoricalActorCriticNet(state_dim=4, action_dim=3)
    network.actor.layers[-1].bias.data = torch.tensor([50.0, 0.0, 0.0])
    return float(network.distribution(torch.zeros(2, 4)).probs[0, 0]) < 0.6
