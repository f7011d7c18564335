import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    model = half.Answerer()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    texts, answers = (torch.randint(0, 12, (4, 2)), torch.randint(0, 12, (4, 7))), torch.tensor([0, 2, 1, 1])
    return Drive(
        model, texts, F.cross_entropy, answers, step=lambda: half.train_step(model, optimizer, *texts, answers)
    )


def symptom(half):
    reader = half.MemoryReader(6)
    return not sums_to_one(reader(torch.randn(3, 2, 6), torch.randn(3, 5, 6))[1], -1)
