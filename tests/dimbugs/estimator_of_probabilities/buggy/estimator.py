import torch
from torch import nn


class Classifier:
    def __init__(self, module, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=0.01, max_epochs=10):
        self.module, self.criterion, self.optimizer = module, criterion, optimizer
        self.lr, self.max_epochs = lr, max_epochs

    def initialize(self):
        self.module_ = self.module()
        self.criterion_ = self.criterion()
        self.optimizer_ = self.optimizer(self.module_.parameters(), lr=self.lr)
        return self

    def train_step(self, X, y):
        self.module_.train()
        self.optimizer_.zero_grad()
        loss = self.criterion_(self.module_(X), y)
        loss.backward()
        self.optimizer_.step()
        return loss

    def fit(self, X, y):
        self.initialize()
        self.history_ = [self.train_step(X, y).item() for _ in range(self.max_epochs)]
        return self

    @torch.no_grad()
    def predict_proba(self, X):
        self.module_.eval()
        return self.module_(X)

    def predict(self, X):
        return self.predict_proba(X).argmax(dim=1)
