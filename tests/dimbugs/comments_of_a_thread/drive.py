import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.ThreadClassifier(vocab=9)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    threads = torch.tensor([[[3, 4, 0], [5, 1, 2]], [[6, 0, 0], [0, 0, 0]], [[7, 8, 1], [2, 0, 0]]])
    labels = torch.tensor([0, 1, 1])
    step = lambda: half.run_epoch(model, optimizer, [(threads, labels)])[-1]  # noqa: E731
    return Drive(model, threads, F.cross_entropy, labels, step=step)


def symptom(half):
    return bool(drive(half).step().isnan())
