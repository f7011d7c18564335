import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.Agreement(parts=7, part_size=5)
    parts, labels = torch.randn(3, 7, 5), torch.tensor([0, 3, 1])

    def step():
        loss = half.presence_loss(model(parts), labels)
        loss.backward()
        return loss

    return Drive(model, parts, half.presence_loss, labels, step=step)


def symptom(half):
    """Whether twice as many equal parts give the same wholes: their shares were divided among them."""
    outputs = []
    for count in (3, 6):
        model = half.Agreement(parts=count, part_size=2, rounds=1)
        torch.nn.init.ones_(model.view)
        outputs.append(model(torch.ones(2, count, 2)))
    return torch.allclose(*outputs, atol=1e-5)
