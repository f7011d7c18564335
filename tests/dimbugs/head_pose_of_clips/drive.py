import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.ClipPose()
    solver = torch.optim.Adam(model.parameters(), lr=half.LR)
    clips = torch.randn(3, 5, 3, 8, 8)
    degrees = torch.randn(3, 5, 3) * 30
    step = lambda: half.step(model, solver, clips, degrees)  # noqa: E731
    return Drive(model, clips, torch.nn.functional.mse_loss, degrees, step=step)


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
