import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.GAUAlphaModel(vocab=7).half()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    ids, mask = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0], [2, 2, 1, 0]]), torch.ones(3, 4)
    mask[1, 2:] = mask[2, 3:] = 0
    labels = torch.tensor([1, 0, 1])
    step = lambda: half.finetune_step(model, optimizer, ids, mask, labels)  # noqa: E731
    return Drive(model, (ids, mask), F.cross_entropy, labels, step=step)


def symptom(half):
    return bool(drive(half).step().isnan())
