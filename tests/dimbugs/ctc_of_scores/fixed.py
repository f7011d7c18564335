import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvBlock(nn.Module):
    def __init__(self, dim, kernel_size=3):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.conv = nn.Conv1d(dim, dim, kernel_size, padding=kernel_size // 2)

    def forward(self, x):  # [B, T, H]
        return x + F.gelu(self.conv(self.norm(x).mT)).mT


class PhoneAligner(nn.Module):
    def __init__(self, mels, phones, hidden=12, layers=2):
        super().__init__()
        self.mel_proj = nn.Linear(mels, hidden)
        self.blocks = nn.ModuleList([ConvBlock(hidden) for _ in range(layers)])
        self.ph_out = nn.Linear(hidden, phones + 1)  # the first one is blank
        self.bd_out = nn.Linear(hidden, 1)

    def forward(self, mel):
        x = self.mel_proj(mel)
        for block in self.blocks:
            x = block(x)
        return {"ph_frame_logits": self.ph_out(x), "ph_bd_logits": self.bd_out(x).squeeze(-1)}


class AlignTask:
    def __init__(self, hparams):
        self.hparams = hparams
        self.model = PhoneAligner(hparams["mels"], hparams["phones"])
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=hparams["lr"])

    def run_model(self, sample):
        output, losses = self.model(sample["mel"]), {}
        self.add_boundary_loss(output["ph_bd_logits"], sample["ph_bd"], losses)
        self.add_ctc_loss(output["ph_frame_logits"], sample, losses)
        return losses, output

    def add_boundary_loss(self, logits, target, losses):
        losses["ph_bd"] = F.binary_cross_entropy_with_logits(logits, target) * self.hparams["lambda_bd"]

    def add_ctc_loss(self, logits, sample, losses):
        frames = logits.log_softmax(dim=-1).transpose(0, 1)  # [T, B, V]
        ctc = F.ctc_loss(frames, sample["ph"], sample["mel_lengths"], sample["ph_lengths"], zero_infinity=True)
        losses["ph_ctc"] = ctc * self.hparams["lambda_ctc"]

    def training_step(self, sample):
        losses, _ = self.run_model(sample)
        total_loss = sum(losses.values())
        self.optimizer.zero_grad()
        total_loss.backward()
        self.optimizer.step()
        return total_loss
