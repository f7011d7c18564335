import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    tagger = half.make_tagger()
    optimizer = torch.optim.SGD(tagger.parameters(), lr=0.1)
    documents, tags = torch.randn(5, 6), torch.randint(0, 2, (5, 4))
    return Drive(
        tagger, documents, half.Focal(), tags, step=lambda: half.train_tagger(tagger, optimizer, documents, tags)
    )


def symptom(half):
    """Whether the loss without focus is not the cross-entropy."""
    scores, targets = torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 0]])
    expected = F.binary_cross_entropy_with_logits(scores, targets.float())
    return not torch.isclose(half.Focal(focus=0.0)(scores, targets), expected)
