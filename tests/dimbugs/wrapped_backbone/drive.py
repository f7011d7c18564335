import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    model = half.make_model()
    loop = half.Loop(model)
    candidates, answer = torch.randn(4, 3, 7), torch.tensor([0, 1, 2, 1])
    return Drive(model, candidates, F.cross_entropy, answer, step=lambda: loop.step(candidates, answer))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(3) - 1e-3)
