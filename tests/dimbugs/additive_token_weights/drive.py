import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.swift_tiny(num_classes=5)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images, labels = torch.randn(4, 3, 12, 12), torch.tensor([0, 4, 2, 1])
    step = lambda: half.train_one_batch(model, optimizer, images, labels)  # noqa: E731
    return Drive(model, images, torch.nn.functional.cross_entropy, labels, step=step)


def symptom(half):
    """Whether the weights get no gradient, since they are 1 whatever the scores are."""
    run = drive(half)
    run.step()
    return all(float(p.grad.abs().max()) < 1e-12 for n, p in run.model.named_parameters() if n.endswith("w_g"))
