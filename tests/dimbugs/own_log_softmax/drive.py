import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.EnergyClassifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, labels = torch.randn(5, 6), torch.tensor([0, 3, 1, 2, 2])
    return Drive(model, x, F.nll_loss, labels, step=lambda: half.train_step(model, optimizer, x, labels))


def symptom(half):
    scores = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)) + 1e7
    return not sums_to_one(half.log_normalize(scores).exp(), -1)
