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
        noise = torch.randint(0, self.vocab, (len(target), self.num_sampled))
        words = torch.cat([target.unsqueeze(1), noise], dim=1)
        scores = torch.einsum("bd,bwd->bw", hidden, self.model.out.weight[words]) + self.model.out.bias[words]
        is_data = torch.zeros_like(scores)
        is_data[:, 0] = 1.0
        return F.binary_cross_entropy_with_logits(scores, is_data, reduction="sum") / len(target)

    def train_batch(self, context, target):
        loss = self.loss(self.model(context), target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss
