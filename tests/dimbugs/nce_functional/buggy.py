import torch
import torch.nn as nn
import torch.nn.functional as F


class WordModel(nn.Module):
    def __init__(self, vocab=50, dim=8):
        super().__init__()
        self.embed = nn.EmbeddingBag(vocab, dim)
        self.out = nn.Linear(dim, vocab)

    def forward(self, context):
        return self.embed(context)


class Word2Vec:
    def __init__(self, vocab=50, num_sampled=5):
        self.model = WordModel(vocab)
        self.num_sampled = num_sampled
        self.vocab = vocab
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-2)

    def loss(self, hidden, target):
        return F.nce_loss(self.model.out.weight, self.model.out.bias, target, hidden, self.num_sampled, self.vocab)

    def train_batch(self, context, target):
        loss = self.loss(self.model(context), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
