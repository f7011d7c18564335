import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    agent = half.Agent()
    tasks = torch.randn(6, 6)
    return Drive(agent.scorer, tasks, step=lambda: agent.learn(tasks, lambda action: (action == 2).float()))


def symptom(half):
    """Whether a tool that is all but certain is hardly ever taken."""
    torch.manual_seed(0)
    agent = half.Agent()
    torch.nn.init.zeros_(agent.scorer.score.weight)
    agent.scorer.score.bias.data = torch.tensor([9.0, 0.0, 0.0, 0.0, 0.0])
    action, _ = agent.act(torch.randn(200, 6))
    return float((action == 0).float().mean()) < 0.5
