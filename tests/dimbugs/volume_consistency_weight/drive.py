import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    args = half.get_args([])
    student, teacher = half.create_models(args)
    optimizer = torch.optim.SGD(student.parameters(), lr=args.base_lr, momentum=0.9)
    volumes, masks = torch.randn(2, 1, 4, 5, 6), torch.randint(0, 2, (2, 4, 5, 6))
    unlabeled = torch.randn(3, 1, 4, 5, 6)
    run = Drive(student, volumes, F.cross_entropy, masks)
    run.step = lambda: half.train_step(student, teacher, optimizer, (volumes, masks), unlabeled, args)
    return run


def symptom(half):
    """Whether a teacher that is sure of every voxel does not count as sure."""
    sure = torch.zeros(1, 2, 4, 5, 6)
    sure[:, 1] = 20.0
    return float(half.confidence(sure)) < 0.9
