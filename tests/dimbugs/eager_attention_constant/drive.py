import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    policy = half.ChunkPolicy(half.PolicyConfig())
    optimizer = half.make_optimizer(policy)
    states, actions = torch.randn(3, 4, 5), torch.randn(3, 4, 2)
    step = lambda: half.update_policy(policy, optimizer, states, actions)  # noqa: E731
    return Drive(policy, states, torch.nn.functional.mse_loss, actions, step=step)


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError as error:
        return "overflow" in str(error)
    return False
