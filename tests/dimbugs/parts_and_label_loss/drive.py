import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model, criterion = half.PointNetPartSeg(), half.PointNetLoss(weight=0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    points, label, seg = torch.randn(3, 20, 3), torch.tensor([0, 3, 1]), torch.randint(0, 6, (3, 20))
    step = lambda: half.train_epoch(model, optimizer, [(points, label, seg)], criterion)  # noqa: E731
    return Drive(model, points.transpose(2, 1), criterion, (seg, label), step=step)


def symptom(half):
    run = drive(half)
    seg_pred, labels_pred = run.model(run.example_input)
    return bool(run.loss((seg_pred, labels_pred + 100), run.target) < 0)
