import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    agent = half.PPO_discrete(state_dim=4, action_dim=3)
    for _ in range(6):
        state = torch.randn(4)
        action, prob = agent.select_action(state)
        agent.put_data(state, action, prob, reward=float(torch.randn(())))
    return Drive(agent.actor, torch.randn(6, 4), step=agent.train)


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
