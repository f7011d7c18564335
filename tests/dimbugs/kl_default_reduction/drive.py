import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    student, teacher = half.build_pair()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05)
    images, labels = torch.randn(4, 1, 5, 5), torch.tensor([0, 7, 3, 2])
    run = Drive(student, images, F.cross_entropy, labels)
    run.step = lambda: half.distil(student, teacher, optimizer, images, labels)
    return run


def symptom(half):
    """Whether the value is not the divergence of two distributions."""
    student, teacher = torch.zeros(1, 4), torch.tensor([[8.0, 0.0, 0.0, 0.0]])
    p = teacher.softmax(1)
    expected = (p * (p * 4).log()).sum()
    return not torch.isclose(half.SoftAndHard(1.0, 1.0)(student, teacher, torch.tensor([0])), expected)
