import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    gan = half.GAN()
    real = torch.rand(5, 6)
    return Drive(gan.netD, real, gan.criterion, torch.ones(5), step=lambda: gan.train_on_batch(real))


def symptom(half):
    """Whether a discriminator that is sure of itself leaves the generator without a gradient."""
    torch.manual_seed(0)
    gan = half.GAN()
    last = [layer for layer in gan.netD.main if isinstance(layer, torch.nn.Linear)][-1]
    last.bias.data.fill_(-200.0)
    gan.g_loss(gan.netG(torch.randn(5, gan.z_dim))).backward()
    return not any(parameter.grad.any() for parameter in gan.netG.parameters())
