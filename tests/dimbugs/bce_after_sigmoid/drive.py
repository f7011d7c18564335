import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.ClickModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    fields, clicks = torch.randint(0, 5, (6, 3)), torch.tensor([1.0, 0, 0, 1, 1, 0])
    return Drive(model, fields, half.click_loss, clicks, step=lambda: half.train_step(model, optimizer, fields, clicks))


def symptom(half):
    score = torch.tensor([60.0], requires_grad=True)
    half.click_loss(score, torch.zeros(1)).backward()
    return float(score.grad) < 0.5
