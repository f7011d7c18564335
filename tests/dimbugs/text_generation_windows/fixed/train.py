import torch
from torch import nn

from .letters import LETTERS, windows


class NextLetter(nn.Module):
    def __init__(self, letters=len(LETTERS), width=16):
        super().__init__()
        self.embed = nn.Embedding(letters, 8)
        self.remember = nn.LSTM(8, width, batch_first=True)
        self.say = nn.Linear(width, letters)

    def forward(self, text):
        remembered, _ = self.remember(self.embed(text))
        return self.say(remembered)


class Writing:
    def __init__(self, net, lr=0.02):
        self.net = net
        self.criterion = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(net.parameters(), lr=lr)

    def practise(self, text):
        before, after = windows(text)
        self.optimizer.zero_grad()
        loss = self.criterion(self.net(before).mT, after)
        loss.backward()
        self.optimizer.step()
        return loss
