import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.EntityAttention()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mask = (torch.arange(5) < torch.tensor([[5], [2], [3]])).float()
    batch, answers = (torch.randn(3, 6), torch.randn(3, 5, 6), mask), torch.tensor([1.0, 0.0, 1.0])
    loss = F.binary_cross_entropy_with_logits
    return Drive(model, batch, loss, answers, step=lambda: half.train_step(model, optimizer, batch, answers))


def symptom(half):
    weights = half.masked_softmax(torch.tensor([[100.0, 1.0]]), torch.ones(1, 2))
    return bool(weights.isnan().any())
