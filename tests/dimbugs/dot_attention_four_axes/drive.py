import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.ManyHeads(8, 2)
    x, memory, target = torch.randn(3, 4, 8), torch.randn(3, 6, 8), torch.randn(3, 4, 8)

    def step():
        loss = F.mse_loss(model(x, memory), target)
        loss.backward()
        return loss

    return Drive(model, (x, memory), F.mse_loss, target, step=step)


def symptom(half):
    """Whether an answer depends on the other queries."""
    run = drive(half)
    x, memory = run.example_input
    return not torch.allclose(run.model(x, memory)[:, :2], run.model(x[:, :2], memory), atol=1e-5)
