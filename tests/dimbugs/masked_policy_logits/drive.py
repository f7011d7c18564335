import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    worker = half.Worker()
    obs, rewards = torch.randn(5, 4), torch.randn(5)
    allowed = torch.tensor([[True, False, True]]).expand(5, 3)
    return Drive(worker.policy, (obs, allowed), step=lambda: worker.update(obs, allowed, rewards))


def symptom(half):
    """Whether a forbidden action has a probability."""
    run = drive(half)
    dist, _ = half.Worker().compute_actions(*run.example_input)
    return float(dist.dist.probs[:, 1].max()) > 0.01
