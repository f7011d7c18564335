import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.EncoderBlock()
    x, target = torch.randn(3, 5, 8), torch.randn(3, 5, 8)

    def step():
        loss = F.mse_loss(model(x), target)
        loss.backward()
        return loss

    return Drive(model, x, F.mse_loss, target, step=step)


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
