import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.PersonDetector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images = torch.randn(2, 3, 8, 12)
    targets = torch.rand(2, 4, 4, 6), torch.randint(0, 2, (2, 4, 6))
    run = Drive(model, images, half.detection_loss, targets)
    run.step = lambda: half.train_step(model, optimizer, images, targets)
    return run


def symptom(half):
    run = drive(half)
    run.step()
    return float(run.model.head.cls.weight.grad.abs().max()) < 1e-9
