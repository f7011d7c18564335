import torch
from torch import nn
from torch.nn import functional as F

PAD = 0


class Encoder(nn.Module):
    def __init__(self, letters, hidden):
        super().__init__()
        self.embedding = nn.Embedding(letters, hidden)
        self.gru = nn.GRU(hidden, hidden)

    def forward(self, src):
        return self.gru(self.embedding(src))  # (letters, batch, hidden), (1, batch, hidden)


class Attention(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.attn = nn.Linear(2 * hidden, hidden)
        self.v = nn.Linear(hidden, 1, bias=False)

    def forward(self, hidden, encoder_outputs):
        repeated = hidden.repeat(encoder_outputs.shape[0], 1, 1)
        energy = torch.tanh(self.attn(torch.cat((repeated, encoder_outputs), dim=2)))
        scores = self.v(energy).squeeze(2)
        return F.softmax(scores, dim=1)


class Seq2Seq(nn.Module):
    def __init__(self, letters, hidden=10):
        super().__init__()
        self.encoder = Encoder(letters, hidden)
        self.attention = Attention(hidden)
        self.embedding = nn.Embedding(letters, hidden)
        self.gru = nn.GRUCell(2 * hidden, hidden)
        self.out = nn.Linear(2 * hidden, letters)

    def forward(self, src, tgt):
        encoder_outputs, hidden = self.encoder(src)
        hidden = hidden[0]
        outputs = []
        for letter in tgt:
            a = self.attention(hidden, encoder_outputs)
            context = torch.einsum("lb,lbh->bh", a, encoder_outputs)
            hidden = self.gru(torch.cat([self.embedding(letter), context], dim=1), hidden)
            outputs.append(self.out(torch.cat([hidden, context], dim=1)))
        return torch.stack(outputs)  # letters, batch, scores


def masked_loss(scores, tgt):
    return F.cross_entropy(scores.flatten(0, 1), tgt.flatten(), ignore_index=PAD)


def step(model, optimizer, src, tgt):
    scores = model(src, tgt)
    loss = masked_loss(scores[:-1], tgt[1:])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss
