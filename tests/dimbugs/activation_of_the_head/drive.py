import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.Linknet(classes=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, y = torch.rand(2, 3, 8, 12), F.one_hot(torch.randint(0, 4, (2, 8, 12)), 4).permute(0, 3, 1, 2).float()
    return Drive(model, x, half.dice_loss, y, step=lambda: half.batch_update(model, optimizer, x, y))


def symptom(half):
    run = drive(half)
    return not sums_to_one(run.model(run.example_input), 1)
