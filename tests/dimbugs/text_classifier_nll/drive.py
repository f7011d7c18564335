import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    session = half.new_session()
    headlines, topics = torch.randint(0, 20, (5, 6)), torch.tensor([0, 1, 2, 3, 1])
    return Drive(session.model, headlines, F.nll_loss, topics, step=lambda: session.step(headlines, topics))


def symptom(half):
    return float(drive(half).step()) < 0
