import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    criterion = half.PointerLoss(half.PointerDecoder())
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.05)
    inputs = torch.randn(3, 4, 5), torch.randn(3, 5), torch.tensor([0, 3, 1])
    return Drive(criterion, inputs, step=lambda: half.train_step(criterion, optimizer, *inputs))


def symptom(half):
    run = drive(half)
    source, state, position = run.example_input
    loss = run.model(source * 1e4, state, position)
    return not bool(loss.isfinite())
