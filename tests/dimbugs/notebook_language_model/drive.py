import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above

ALPHABET = "abcdefghijkl"


def drive(half):
    torch.manual_seed(0)
    model = half.SimpleModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    data = half.encode(ALPHABET * 4, ALPHABET)
    xs, ys = half.get_batches(data, half.CONFIG)

    def loss(outputs, targets):
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    return Drive(model, xs, loss, ys, step=lambda: half.train(model, optimizer, data))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(12) - 1e-3)
