import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.make_model()
    images, masks = torch.randn(2, 1, 8, 12), torch.randint(0, 3, (2, 8, 12))
    return Drive(model, images, half.dice_loss, masks, step=lambda: half.fit(model, images, masks))


def symptom(half):
    run = drive(half)
    return not sums_to_one(run.model(run.example_input), 1)
