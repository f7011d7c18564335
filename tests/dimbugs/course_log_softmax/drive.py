import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    net = half.digits_net
    for layer in net:
        if isinstance(layer, torch.nn.Linear):
            layer.reset_parameters()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    images, digits = torch.randn(6, 1, 8, 8), torch.randint(0, 10, (6,))
    return Drive(net, images, F.nll_loss, digits, step=lambda: half.one_pass(net, [(images, digits)], optimizer)[0])


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
