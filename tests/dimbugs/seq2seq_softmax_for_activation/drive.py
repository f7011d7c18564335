import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, mixes_samples


def drive(half):
    torch.manual_seed(0)
    model = half.TopicModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    text, topics = torch.randint(0, 15, (4, 5)), torch.tensor([0, 3, 1, 2])
    return Drive(model, text, F.cross_entropy, topics, step=lambda: half.fit(model, optimizer, text, topics))


def symptom(half):
    run = drive(half)
    torch.nn.init.normal_(run.model.look_back.rate.weight, std=20.0)
    return mixes_samples(run.model, run.example_input)
