import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.AdaptiveNet().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, labels = torch.randn(4, 1, 5, 6), torch.tensor([1, 0, 3, 2])
    return Drive(model, images, step=lambda: half.train_step(model, optimizer, images, labels))


def symptom(half):
    torch.manual_seed(0)
    return not sums_to_one(half.HardGumbel().sample(torch.randn(2, 1, 3, 2)), -1)
