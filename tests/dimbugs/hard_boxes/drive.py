import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net, criterion = half.BoxNet(), half.MultiBoxLoss(num_classes=3, negpos_ratio=3)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    images = torch.randn(2, 3, 8, 8)
    conf_t = torch.zeros(2, 16, dtype=torch.long)
    conf_t[0, 3], conf_t[1, 7], conf_t[1, 9] = 1, 2, 1
    step = lambda: half.train_step(net, criterion, optimizer, images, conf_t)  # noqa: E731
    return Drive(net, images, criterion, conf_t, step=step)


def symptom(half):
    """Whether boxes that are as sure as the others, at lower scores, have no finite loss."""
    run = drive(half)
    scores = torch.nn.functional.one_hot(run.target, 3) * 5.0
    scores[0] -= 200
    return not torch.isfinite(run.loss(scores, run.target))
