import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    net, criterion = half.SphereNet(people=4), half.AngleLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, weight_decay=5e-4)
    faces, target = torch.randn(5, 3, 8, 8), torch.tensor([0, 3, 1, 2, 3])
    return Drive(net, faces, criterion, target, step=lambda: half.train_batch(net, criterion, optimizer, faces, target))


def symptom(half):
    """Whether the loss of one face moves with another face."""
    run = drive(half)
    per_face = half.AngleLoss(reduction="none")
    return mixes_samples(lambda faces: per_face(run.model(faces), run.target), run.example_input)
