import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, labels = torch.randn(3, 5, 8), torch.tensor([0, 3, 1])
    mask = torch.arange(5) < torch.tensor([[5], [3], [4]])
    return Drive(model, (x.half(), mask), step=lambda: half.train_step(model, optimizer, x, mask, labels))


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError:
        return True
    return False
