import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.watch_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    users = torch.randn(6, 4)
    targets = {"click": torch.tensor([1.0, 0, 1, 0, 1, 0]), "play_percentage": torch.rand(6)}

    def step():
        loss = model.training_step((users, targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Drive(model, users, step=step)


def symptom(half):
    """Whether an output that is sure and right still costs more than 0.3."""
    output = half.BinaryOutput(1)
    for parameter in output.parameters():
        parameter.data.fill_(50.0)
    return float(output.loss(output(torch.ones(3, 1)), torch.ones(3))) > 0.3
