import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.Tagger(20)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    tokens, tags = torch.randint(0, 20, (3, 8)), torch.randint(0, 8, (3, 8))
    return Drive(model, tokens, step=lambda: half.train_epoch(model, optimizer, [(tokens, tags)]))


def symptom(half):
    """Whether training towards tags that follow from the words leads to other tags."""
    torch.manual_seed(0)
    model = half.Tagger(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    tokens = torch.randint(0, 8, (4, 8))
    half.train_epoch(model, optimizer, [(tokens, tokens)] * 25)
    return float((model(tokens).argmax(-1) == tokens).float().mean()) < 0.9
