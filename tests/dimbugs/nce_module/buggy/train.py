import torch
import torch.nn as nn

from .losses import make_criterion


class BillionWordLM(nn.Module):
    def __init__(self, vocab=40, dim=8):
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)
        self.proj = nn.Linear(dim, vocab)

    def forward(self, tokens):
        states, _ = self.lstm(self.embed(tokens))
        return self.proj(states)


def train(model, optimizer, tokens, loss_name="plain"):
    criterion = make_criterion(loss_name)
    logits = model(tokens[:, :-1])
    loss = criterion(logits.flatten(0, 1), tokens[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
