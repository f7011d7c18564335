import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive

EDGES = torch.tensor([[0, 1, 1, 2, 3, 0, 1, 2, 3, 4], [1, 0, 2, 1, 4, 0, 1, 2, 3, 4]])


def drive(half):
    torch.manual_seed(0)
    model = half.SkeletonNet(EDGES)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    joints, gesture = torch.randn(3, 5, 3), torch.tensor([2, 0, 3])
    return Drive(
        model, joints, F.cross_entropy, gesture, step=lambda: half.train(model, optimizer, [(joints, gesture)])
    )


def symptom(half):
    """Whether coordinates in millimetres are too much."""
    run = drive(half)
    return not bool(run.model(run.example_input * 1000).isfinite().all())
