import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.VisualWords()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    images = torch.rand(3, 3, 8, 12)
    return Drive(model, images, F.mse_loss, images, step=lambda: half.fit(model, optimizer, images))


def symptom(half):
    run = drive(half)
    return not sums_to_one(run.model.draw(run.example_input), 1)
