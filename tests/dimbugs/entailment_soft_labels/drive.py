import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.DecomposableAttention(vocab_size=11)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.05)
    premise, hypothesis = torch.randint(1, 11, (3, 5)), torch.randint(1, 11, (3, 4))
    shares = torch.tensor([[1.0, 0.0, 0.0], [0.2, 0.8, 0.0], [0.0, 0.4, 0.6]])
    step = lambda: half.train_batch(model, optimizer, premise, hypothesis, shares)  # noqa: E731
    return Drive(model, (premise, hypothesis), half.soft_label_loss, shares, step=step)


def symptom(half):
    scores, shares = torch.tensor([[142.0, -60.0, -90.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    return bool(half.soft_label_loss(scores, shares).isnan())
