import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    tokens, labels = torch.randint(0, 20, (4, 5)), torch.tensor([0, 2, 1, 0])
    return Drive(model, tokens, F.cross_entropy, labels, step=lambda: half.train_step(model, optimizer, tokens, labels))


def symptom(half):
    try:
        half.SentencePool(4)(torch.randn(2, 3, 4))
    except AttributeError:
        return True
    return False
