import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.SmallNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(3, 3, 7, 9), torch.tensor([0, 3, 1])
    return Drive(model, images, F.cross_entropy, labels, step=lambda: half.train_step(model, optimizer, images, labels))


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
