import torch

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.DANN()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    source, target, digits = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8) + 1, torch.tensor([0, 1, 2, 2, 1, 0])
    return Drive(
        model,
        source,
        lambda outputs, digits: half.digit_criterion(outputs[0], digits),
        digits,
        step=lambda: half.train_step(model, optimizer, source, digits, target),
    )


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3) + double_softmax_floor(2) - 1e-3)
