import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.MaskClassifier()
    criterion = half.SetCriterion(num_classes=4, eos_coef=0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = torch.randn(2, 3, 8, 8)
    targets = [torch.tensor([1, 3]), torch.tensor([0])]
    indices = [(torch.tensor([4, 0]), torch.tensor([0, 1])), (torch.tensor([2]), torch.tensor([0]))]
    step = lambda: half.train_step(model, criterion, optimizer, images, targets, indices)  # noqa: E731
    return Drive(model, images, lambda logits, target: criterion(logits, *target), (targets, indices), step=step)


def symptom(half):
    """Whether queries that are sure and right have a loss."""
    run = drive(half)
    classes = torch.tensor([[3, 4, 4, 4, 1], [4, 4, 0, 4, 4]])
    return float(run.loss(torch.eye(5)[classes] * 30, run.target)) > 1e-3
