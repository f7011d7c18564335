import torch

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.Seq2Seq(letters=9)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    src, tgt = torch.randint(1, 9, (6, 3)), torch.randint(1, 9, (4, 3))
    loss = lambda scores, tgt: half.masked_loss(scores[:-1], tgt[1:])  # noqa: E731
    return Drive(model, (src, tgt), loss, tgt, batch_dim=1, step=lambda: half.step(model, optimizer, src, tgt))


def symptom(half):
    run = drive(half)
    src, tgt = run.example_input
    return mixes_samples(lambda src: run.model(src, tgt), src, batch_dim=1)
