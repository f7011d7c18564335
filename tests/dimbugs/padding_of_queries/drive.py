import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.Encoder(15)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    src = torch.tensor([[3, 7, 9, 4, 2], [8, 5, 6, 0, 0], [11, 2, 1, 14, 0]])
    tags = torch.randint(0, 5, (3, 5)).masked_fill(src == 0, -1)
    return Drive(model, src, step=lambda: half.run_epoch(model, optimizer, [(src, tags)]))


def symptom(half):
    run = drive(half)
    return not bool(run.model(run.example_input).isfinite().all())
