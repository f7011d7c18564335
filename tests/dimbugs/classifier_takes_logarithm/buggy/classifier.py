import torch
from torch import nn


class NeuralNetClassifier:
    """Wraps a module whose criterion is the negative logarithm of the likelihood."""

    def __init__(self, module, criterion=nn.NLLLoss, optimizer=torch.optim.SGD, lr=0.01, **module_params):
        self.module_ = module(**module_params)
        self.criterion_ = criterion()
        self.optimizer_ = optimizer(self.module_.parameters(), lr=lr)

    def infer(self, X):
        return self.module_(X)

    def get_loss(self, y_pred, y_true):
        return self.criterion_(torch.log(y_pred), y_true)

    def train_step(self, X, y):
        self.module_.train()
        self.optimizer_.zero_grad()
        loss = self.get_loss(self.infer(X), y)
        loss.backward()
        self.optimizer_.step()
        return loss

    @torch.no_grad()
    def predict_proba(self, X):
        self.module_.eval()
        return self.infer(X).numpy()

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)
