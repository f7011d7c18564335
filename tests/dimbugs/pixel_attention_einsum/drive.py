import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.Denoiser()
    images = torch.randn(3, 1, 4, 5)

    def step():
        loss = half.denoising_loss(model, images)
        loss.backward()
        return loss

    return Drive(model, images, F.mse_loss, torch.randn(3, 1, 4, 5), step=step)


def symptom(half):
    """Whether constant values do not come back as they are, as an average of them would."""
    torch.manual_seed(0)
    attention = half.PixelAttention(4, heads=1)
    torch.nn.init.zeros_(attention.tell.weight)
    torch.nn.init.ones_(attention.tell.bias)
    attention.merge = torch.nn.Identity()
    images = torch.randn(2, 4, 3, 3)
    return not torch.allclose(attention(images), torch.ones_like(images), atol=1e-4)
