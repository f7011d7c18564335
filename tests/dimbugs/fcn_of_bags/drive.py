import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    fcn = half.FCN8s(n_class=2)
    bags, masks = torch.randn(2, 3, 16, 16), torch.randint(0, 2, (2, 16, 16))
    train_step = half.make_train_step(fcn, lr=1e-2)
    targets = half.onehot(masks, 2)
    return Drive(fcn, bags, F.binary_cross_entropy_with_logits, targets, step=lambda: train_step(bags, masks))


def symptom(half):
    try:
        drive(half).step()
    except RuntimeError as error:
        return "between 0 and 1" in str(error)
    return False
