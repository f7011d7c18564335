import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    net = half.TripletNet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    inputs, present = (torch.randn(2, 3, 8), torch.randn(2, 6, 8)), torch.randint(0, 2, (2, 5)).float()
    loss = F.binary_cross_entropy_with_logits
    return Drive(net, inputs, loss, present, step=lambda: half.step(net, optimizer, *inputs, present))


def symptom(half):
    """Whether regions that are all alike do not come back as they are."""
    torch.manual_seed(0)
    attention = half.MixedAttention(8)
    regions = torch.randn(1, 1, 8).expand(2, 6, 8)
    mixed = attention(torch.randn(2, 3, 8), regions)
    return not torch.allclose(mixed, attention.value(regions)[:, :3], atol=1e-4)
