import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model, mixup = half.SmallCNN(4), half.Mixup(4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    images, labels = torch.randn(4, 3, 5, 6), torch.tensor([0, 1, 2, 3])
    _, targets = mixup(images, labels)
    run = Drive(model, images, F.cross_entropy, targets)
    run.step = lambda: half.train_one_epoch(model, [(images, labels)], optimizer, mixup)
    return run


def symptom(half):
    return not sums_to_one(drive(half).target, 1)
