import torch
import torch.nn as nn


class InteractionAttention(nn.Module):
    """Attends to the frames of an utterance, as the utterances before it by either speaker suggest."""

    def __init__(self, hidden, attention_size=6):
        super().__init__()
        self.w_frames = nn.Linear(hidden, attention_size, bias=False)
        self.w_self = nn.Linear(hidden, attention_size, bias=False)
        self.w_other = nn.Linear(hidden, attention_size)
        self.u = nn.Linear(attention_size, 1, bias=False)

    def forward(self, frames, previous_self, previous_other, mask):
        context = self.w_self(previous_self) + self.w_other(previous_other)
        v = torch.tanh(self.w_frames(frames) + context.unsqueeze(1))
        vu = self.u(v).squeeze(-1)  # (batch, frames)
        paddings = mask * -1e8
        vu = torch.where(mask == 0, paddings, vu)
        alphas = torch.softmax(vu, dim=1)
        return torch.sum(alphas.unsqueeze(-1) * frames, dim=1), alphas


class EmotionNet(nn.Module):
    def __init__(self, features=5, hidden=8, emotions=4):
        super().__init__()
        self.gru_frames = nn.GRU(features, hidden, batch_first=True)
        self.gru_turns = nn.GRU(features, hidden, batch_first=True)
        self.attention = InteractionAttention(hidden)
        self.fc = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, emotions))

    def summarize(self, turn):
        _, last = self.gru_turns(turn)
        return last[-1]

    def forward(self, current, previous_self, previous_other, lengths):
        frames, _ = self.gru_frames(current)
        mask = (torch.arange(current.size(1)) < lengths.unsqueeze(1)).float()
        own, other = self.summarize(previous_self), self.summarize(previous_other)
        attended, _ = self.attention(frames, own, other, mask)
        return self.fc(torch.cat([attended, own, other], dim=1))


def train_on_batch(model, optimizer, batch):
    *turns, lengths, labels = batch
    logits = model(*turns, lengths)
    loss = nn.functional.cross_entropy(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
