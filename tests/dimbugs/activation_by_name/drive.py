import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.DemandModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = torch.randn(5, 6), torch.randn(5, 4), torch.rand(5)
    return Drive(model, batch[:2], F.l1_loss, batch[2], step=lambda: half.fit_batch(model, optimizer, batch))


def symptom(half):
    try:
        drive(half).step()
    except AttributeError as error:
        return "Sigmoid" in str(error)
    return False
