import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.FirstModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    flowers, kinds = torch.randn(6, 10), torch.tensor([0, 1, 2, 3, 4, 0])
    return Drive(model, flowers, half.brier, kinds, step=lambda: half.lesson(model, optimizer, flowers, kinds))


def symptom(half):
    """Whether it is another axis for a batch of sequences."""
    return not sums_to_one(drive(half).model(torch.randn(3, 4, 10)), -1)
