import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.LineReader()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    lines, texts = torch.randn(3, 8, 12), torch.randint(0, 9, (3, 4))

    def step():
        loss = half.train_batch(model, optimizer, lines, texts)
        half.read_lines(model, lines)
        return loss

    return Drive(model, lines, step=step)


def symptom(half):
    scores = torch.tensor([[120.0, 3.0, -5.0], [0.0, 1.0, 2.0]])
    return not bool(half.apply_softmax(scores).isfinite().all())
