import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    images, labels = torch.rand(3, 1, 32, 32), torch.tensor([7, 0, 4])
    return Drive(half.net, images, half.criterion, labels, step=lambda: half.step(images, labels))


def symptom(half):
    try:
        drive(half).step()
    except AttributeError as error:
        return "has no attribute" in str(error)
    return False
