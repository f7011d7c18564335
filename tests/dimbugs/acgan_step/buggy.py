import torch
import torch.nn as nn
import torch.nn.functional as F


class Generator(nn.Module):
    def __init__(self, latent_dim, n_classes, img_size):
        super().__init__()
        self.label_emb = nn.Embedding(n_classes, latent_dim)
        self.model = nn.Sequential(nn.Linear(latent_dim, 32), nn.LeakyReLU(0.2), nn.Linear(32, img_size**2), nn.Tanh())
        self.img_size = img_size

    def forward(self, noise, labels):
        img = self.model(self.label_emb(labels) * noise)
        return img.view(-1, 1, self.img_size, self.img_size)


class Discriminator(nn.Module):
    def __init__(self, n_classes, img_size):
        super().__init__()

        def discriminator_block(in_filters, out_filters):
            return [nn.Conv2d(in_filters, out_filters, 3, 2, 1), nn.LeakyReLU(0.2, inplace=True)]

        self.conv_blocks = nn.Sequential(*discriminator_block(1, 4), *discriminator_block(4, 8))
        ds_size = img_size // 2**2
        self.adv_layer = nn.Sequential(nn.Linear(8 * ds_size**2, 1))
        self.aux_layer = nn.Sequential(nn.Linear(8 * ds_size**2, n_classes), nn.Softmax(dim=1))

    def forward(self, img):
        out = self.conv_blocks(img).flatten(1)
        return self.adv_layer(out), self.aux_layer(out)


class ACGAN(nn.Module):
    def __init__(self, latent_dim=4, n_classes=4, img_size=8):
        super().__init__()
        self.latent_dim = latent_dim
        self.generator = Generator(latent_dim, n_classes, img_size)
        self.discriminator = Discriminator(n_classes, img_size)

    def adversarial_loss(self, y_hat, y):
        return F.binary_cross_entropy_with_logits(y_hat, y)

    def auxiliary_loss(self, y_hat, y):
        return F.cross_entropy(y_hat, y)

    def training_step(self, batch, optimizer_idx):
        imgs, labels = batch
        valid, fake = torch.ones(len(imgs), 1), torch.zeros(len(imgs), 1)
        generated = self.generator(torch.randn(len(imgs), self.latent_dim), labels)
        if optimizer_idx == 0:
            validity, pred_label = self.discriminator(generated)
            return (self.adversarial_loss(validity, valid) + self.auxiliary_loss(pred_label, labels)) / 2

        real_pred, real_aux = self.discriminator(imgs)
        fake_pred, _ = self.discriminator(generated.detach())
        adversarial = (self.adversarial_loss(real_pred, valid) + self.adversarial_loss(fake_pred, fake)) / 2
        return (adversarial + self.auxiliary_loss(real_aux, labels)) / 2
