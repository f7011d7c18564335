import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    student, teacher = half.LocalizationDistillationHead(), half.LocalizationDistillationHead()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01)
    feats = torch.randn(2, 3, 3, 4)
    distances, quality = torch.randint(0, 17, (2, 48)), torch.rand(2, 48)
    run = Drive(student, feats)
    run.step = lambda: half.train_one_iter(student, teacher, optimizer, feats, distances, quality)
    return run


def symptom(half):
    """Whether the loss is less than the divergence."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 5, 17)
    divergence = F.kl_div(student.log_softmax(1), teacher.softmax(1), reduction="batchmean")
    return float(half.knowledge_distillation_kl_div_loss(student, teacher, T=1.0)) < 0.5 * float(divergence)
