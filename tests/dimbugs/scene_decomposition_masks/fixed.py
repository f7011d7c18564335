import torch
from torch import nn


class CVAE(nn.Module):
    """Scores of the masks of the slots, as the attention sees them and as the decoder reconstructs them."""

    def __init__(self, num_slots, width=12, z_dim=6):
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.ReLU(True),
            nn.Conv2d(width, num_slots, 1),
        )
        self.encoder = nn.Conv2d(3 + num_slots, z_dim, 4, stride=4)
        self.decoder = nn.ConvTranspose2d(z_dim, 3 + num_slots, 4, stride=4)

    def forward(self, x):
        m_logits = self.attention(x)
        z = torch.tanh(self.encoder(torch.cat([x, m_logits.softmax(dim=1)], dim=1)))
        x_mu, m_tilde_logits = self.decoder(z).tensor_split([3], dim=1)
        return m_logits, x_mu, m_tilde_logits


class SceneModel:
    def __init__(self, num_slots=3, gamma=0.5, lr=1e-3):
        self.netCVAE = CVAE(num_slots)
        self.gamma = gamma
        self.criterionKL = nn.KLDivLoss(reduction="batchmean")
        self.optimizer = torch.optim.RMSprop(self.netCVAE.parameters(), lr=lr)

    def set_input(self, input):
        self.x = input["A"]

    def mask_loss(self, m_tilde_logits, m):
        return self.criterionKL(m_tilde_logits.log_softmax(dim=1), m)

    def forward(self):
        m_logits, self.x_mu, self.m_tilde_logits = self.netCVAE(self.x)
        self.m = m_logits.softmax(dim=1)

    def backward(self):
        loss_E = nn.functional.mse_loss(self.x_mu, self.x)
        loss_mask = self.mask_loss(self.m_tilde_logits, self.m)
        loss = loss_E + self.gamma * loss_mask
        loss.backward()
        return loss

    def optimize_parameters(self):
        self.forward()
        self.optimizer.zero_grad()
        loss = self.backward()
        self.optimizer.step()
        return loss
