import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.PatchClassifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    patches, labels = torch.randn(3, 5, 6), torch.tensor([2, 0, 3])
    return Drive(model, patches, F.cross_entropy, labels, step=lambda: half.fit(model, optimizer, patches, labels))


def symptom(half):
    run = drive(half)
    return mixes_samples(run.model, run.example_input)
