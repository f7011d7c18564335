import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.NextItem()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    sessions, following = torch.randint(0, 11, (4, 5)), torch.tensor([1, 7, 3, 10])

    def step():
        loss = F.cross_entropy(model(sessions), following)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return Drive(model, sessions, F.cross_entropy, following, step=step)


@torch.no_grad()
def symptom(half):
    """Whether what the experts say of a position depends on how many positions follow it."""
    torch.manual_seed(0)
    moe, states = half.NextItem().moe, torch.randn(4, 5, 8)
    return not torch.allclose(moe(states)[:, :2], moe(states[:, :2]), atol=1e-6)
