import torch
import torch.nn as nn
import torch.nn.functional as F

# head pose on video, three degrees per bin, from -99 to 99
LR = 1e-3
ALPHA = 0.01
NUM_BINS = 66

idx_tensor = torch.arange(NUM_BINS, dtype=torch.float32)


class ClipPose(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.smooth = nn.GRU(width, width, batch_first=True)
        self.fc_yaw = nn.Linear(width, NUM_BINS)
        self.fc_pitch = nn.Linear(width, NUM_BINS)
        self.fc_roll = nn.Linear(width, NUM_BINS)

    def bins(self, clips):
        b, t = clips.shape[:2]
        x = F.relu(self.conv1(clips.flatten(0, 1)))
        x = F.relu(self.conv2(x)).mean((2, 3))
        x, _ = self.smooth(x.view(b, t, -1))
        return self.fc_yaw(x), self.fc_pitch(x), self.fc_roll(x)

    def forward(self, clips):
        """Yaw, pitch and roll of each frame in degrees."""
        yaw, pitch, roll = self.bins(clips)
        yaw_predicted = F.softmax(yaw)
        pitch_predicted = F.softmax(pitch)
        roll_predicted = F.softmax(roll)
        predicted = torch.stack([yaw_predicted, pitch_predicted, roll_predicted], 2)
        return torch.sum(predicted * idx_tensor, 3) * 3 - 99


def step(model, solver, clips, degrees):
    labels = ((degrees + 99) / 3).long().clamp(0, NUM_BINS - 1)
    loss = ALPHA * F.mse_loss(model(clips), degrees)
    for scores, label in zip(model.bins(clips), labels.unbind(2), strict=True):
        loss = loss + F.cross_entropy(scores.flatten(0, 1), label.flatten())
    solver.zero_grad()
    loss.backward()
    solver.step()
    return loss
