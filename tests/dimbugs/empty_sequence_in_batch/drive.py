import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.SessionModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    events, labels = torch.tensor([[3, 4, 5, 0], [7, 0, 0, 0], [0, 0, 0, 0]]), torch.tensor([0, 1, 2])
    return Drive(model, events, F.cross_entropy, labels, step=lambda: half.train_step(model, optimizer, events, labels))


def symptom(half):
    run = drive(half)
    return bool(run.model(run.example_input).isnan().any())
