import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive, double_softmax_floor, stays_above


def drive(half):
    torch.manual_seed(0)
    recipe = half.Recipe()
    trainer = half.Trainer(recipe)
    pixels, kinds = torch.randint(0, 16, (4, 6)), torch.tensor([0, 1, 2, 3])
    return Drive(recipe.net, pixels, F.cross_entropy, kinds, step=lambda: trainer.advance((pixels, kinds)))


def symptom(half):
    return stays_above(drive(half).step, double_softmax_floor(4) - 1e-3, 40)
