import torch
import torch.nn as nn


class Generator(nn.Module):
    def __init__(self, z_dim=4, x_dim=6):
        super().__init__()
        self.main = nn.Sequential(nn.Linear(z_dim, 16), nn.ReLU(True), nn.Linear(16, x_dim), nn.Tanh())

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self, x_dim=6, dropout=0.0):
        super().__init__()
        blocks = []
        for width_in, width_out in [(x_dim, 16), (16, 8)]:
            blocks += [nn.Linear(width_in, width_out), nn.LeakyReLU(0.2, inplace=True), nn.Dropout(dropout)]
        self.main = nn.Sequential(*blocks, nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, x):
        return self.main(x).squeeze(1)


class GAN:
    real_label, fake_label = 1.0, 0.0

    def __init__(self, z_dim=4, lr=2e-3):
        self.z_dim = z_dim
        self.netG, self.netD = Generator(z_dim), Discriminator()
        self.criterion = nn.BCELoss()
        self.optimizerG = torch.optim.Adam(self.netG.parameters(), lr=lr, betas=(0.5, 0.999))
        self.optimizerD = torch.optim.Adam(self.netD.parameters(), lr=lr, betas=(0.5, 0.999))

    def d_loss(self, real, fake):
        label = torch.full((len(real),), self.real_label)
        loss_real = self.criterion(self.netD(real), label)
        label = torch.full((len(fake),), self.fake_label)
        loss_fake = self.criterion(self.netD(fake.detach()), label)
        return loss_real + loss_fake

    def g_loss(self, fake):
        return self.criterion(self.netD(fake), torch.full((len(fake),), self.real_label))

    def train_on_batch(self, real):
        fake = self.netG(torch.randn(len(real), self.z_dim))
        self.optimizerD.zero_grad()
        self.d_loss(real, fake).backward()
        self.optimizerD.step()

        self.optimizerG.zero_grad()
        loss_g = self.g_loss(fake)
        loss_g.backward()
        self.optimizerG.step()
        return loss_g
