import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.make_net(input_units=6)
    rows, y = torch.randn(5, 6), torch.tensor([0, 1, 1, 0, 1])
    return Drive(net.module_, rows, net.get_loss, y, step=lambda: net.train_step(rows, y))


def symptom(half):
    run = drive(half)
    run.model.output.bias.data[0] = 200.0
    return bool(run.step().isinf())
