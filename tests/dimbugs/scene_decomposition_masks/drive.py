import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.SceneModel()
    images = torch.rand(3, 3, 8, 8)

    def step():
        model.set_input({"A": images})
        return model.optimize_parameters()

    return Drive(model.netCVAE, images, step=step)


def symptom(half):
    """Whether masks that are reconstructed without an error have a loss."""
    model = half.SceneModel()
    logits = torch.tensor([2.0, 0.0, -1.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    return abs(float(model.mask_loss(logits, logits.softmax(1)))) > 1e-4
