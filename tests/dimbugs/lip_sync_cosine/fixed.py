import torch
from torch import nn
from torch.nn import functional as F


class Conv2d(nn.Module):
    def __init__(self, cin, cout, kernel_size, stride, padding):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel_size, stride, padding)

    def forward(self, x):
        return F.relu(self.conv(x))


class SyncNet_color(nn.Module):
    def __init__(self, frames=5, size=8):
        super(SyncNet_color, self).__init__()
        self.face_encoder = nn.Sequential(
            Conv2d(3 * frames, size, 3, stride=2, padding=1),
            Conv2d(size, size, 3, stride=2, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(size, size),
            nn.ReLU(),
        )
        self.audio_encoder = nn.Sequential(
            Conv2d(1, size, 3, stride=2, padding=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(size, size),
            nn.ReLU(),
        )

    def forward(self, audio_sequences, face_sequences):
        return self.audio_encoder(audio_sequences), self.face_encoder(face_sequences)


logloss = nn.BCELoss()


def cosine_loss(a, v, y):
    d = F.cosine_similarity(a, v).clamp(max=1)  # rounding can take it over 1
    return logloss(d.unsqueeze(1), y)


def train_one(model, optimizer, x, mel, y):
    """x: frames of a mouth, mel: the sound, y: 1 where they belong together."""
    model.train()
    optimizer.zero_grad()
    a, v = model(mel, x)
    loss = cosine_loss(a, v, y)
    loss.backward()
    optimizer.step()
    return loss
