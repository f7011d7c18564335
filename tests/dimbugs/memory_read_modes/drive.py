import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.StoryReader(12)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    story, question, answer = torch.randint(0, 12, (4, 7)), torch.randint(0, 12, (4,)), torch.randint(0, 12, (4,))
    inputs = (story, question)
    return Drive(
        model, inputs, F.cross_entropy, answer, step=lambda: half.train_batch(model, optimizer, *inputs, answer)
    )


def symptom(half):
    """Whether a head reads more than one memory's worth."""
    torch.manual_seed(0)
    heads = half.ReadHeads(4, 5)
    link, last = torch.diag(torch.ones(5), -1).expand(2, 6, 6), torch.full((2, 1, 6), 1 / 6)
    _, weights = heads(torch.randn(2, 4), torch.randn(2, 6, 5), link, last)
    return float(weights.sum(-1).max()) > 1.01
