import torch
from torch import nn


class MatrixFactorization(nn.Module):
    def __init__(self, users=6, items=9, dim=4):
        super().__init__()
        self.user = nn.Embedding(users, dim)
        self.item = nn.Embedding(items, dim)

    def score(self, users, items):
        return (self.user(users) * self.item(items)).sum(dim=-1)

    def forward(self, users, positive, negative):
        return self.score(users, positive), self.score(users, negative)


class PairwiseLoss(nn.Module):
    def forward(self, positive_scores, negative_scores):
        order = torch.sigmoid(positive_scores - negative_scores)
        return -order.log().mean()


class Recommender:
    def __init__(self, lr=0.05, weight_decay=1e-4):
        self.model = MatrixFactorization()
        self.criterion = PairwiseLoss()
        self.optimizer = torch.optim.Adagrad(self.model.parameters(), lr=lr, weight_decay=weight_decay)

    def fit_batch(self, users, positive, negative):
        self.optimizer.zero_grad()
        loss = self.criterion(*self.model(users, positive, negative))
        loss.backward()
        self.optimizer.step()
        return loss
