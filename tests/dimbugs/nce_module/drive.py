import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.BillionWordLM()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    tokens = torch.randint(0, 40, (3, 7))
    return Drive(model, tokens, step=lambda: half.train(model, optimizer, tokens))


def symptom(half):
    try:
        half.make_criterion("nce")
    except AttributeError:
        return True
    return False
