import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    agent = half.SAC_Discrete(state_size=4, action_size=3)
    state, next_state = torch.randn(6, 4), torch.randn(6, 4)
    action, reward = torch.tensor([0, 1, 2, 2, 1, 0]), torch.randn(6)
    return Drive(agent.actor_local, state, step=lambda: agent.learn(state, action, reward, next_state))


def symptom(half):
    """Whether there is no best action for each state."""
    torch.manual_seed(0)
    agent = half.SAC_Discrete(state_size=4, action_size=3)
    return agent.pick_action(torch.randn(6, 4), eval_ep=True).shape != (6,)
