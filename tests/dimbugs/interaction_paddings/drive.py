import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.EmotionNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    turns = torch.randn(3, 7, 5), torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    inputs, labels = (*turns, torch.tensor([7, 3, 5])), torch.tensor([1, 3, 0])
    return Drive(
        model, inputs, F.cross_entropy, labels, step=lambda: half.train_on_batch(model, optimizer, (*inputs, labels))
    )


def symptom(half):
    """Whether what stands in the padding changes the answer."""
    run = drive(half)
    current, *others = run.example_input
    changed = current.clone()
    changed[1, 3:] = 5.0
    return not torch.allclose(run.model(current, *others), run.model(changed, *others), atol=1e-5)
