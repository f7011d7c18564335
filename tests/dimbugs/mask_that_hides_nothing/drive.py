import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.Forecast()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    values, tomorrow = torch.randn(3, 6), torch.randn(3)
    measured = torch.arange(6) >= torch.tensor([[0], [2], [3]])
    run = Drive(net, (values, measured), F.smooth_l1_loss, tomorrow)
    run.step = lambda: half.train_step(net, optimizer, values, measured, tomorrow)
    return run


def symptom(half):
    """Whether a value that was not measured moves the forecast."""
    run = drive(half)
    values, measured = run.example_input
    changed = torch.where(measured, values, values + 5)
    return not torch.allclose(run.model(values, measured), run.model(changed, measured), atol=1e-5)
