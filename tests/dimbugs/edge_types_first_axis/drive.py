import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    relation, push = half.Relation(), half.Push()
    optimizer = torch.optim.Adam([*relation.parameters(), *push.parameters()], lr=1e-3)
    bodies, moved = (torch.randn(5, 6), torch.randn(5, 6)), torch.randn(5)
    return Drive(relation, bodies, step=lambda: half.train_step(relation, push, optimizer, *bodies, moved))


def symptom(half):
    run = drive(half)
    first, second = run.example_input
    return mixes_samples(lambda changed: run.model(changed, second), first)
