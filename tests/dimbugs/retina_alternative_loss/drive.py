import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net, criterion = half.RetinaHead(), half.FocalLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(2, 3, 6, 8)
    targets = torch.randn(2, 24, 4), torch.randint(-1, 5, (2, 24))
    run = Drive(net, images, criterion, targets)
    run.step = lambda: half.train(net, criterion, optimizer, [(images, targets)])
    return run


def symptom(half):
    scores = torch.tensor([[-80.0, 0.0, 0.0, 0.0]])
    return not bool(half.FocalLoss().cls_loss(scores, torch.tensor([1])).isfinite())
