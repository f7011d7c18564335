import torch.nn.functional as F
from estimator import Classifier
from torch import nn


class ClassifierModule(nn.Module):
    def __init__(self, num_units=16, nonlin=F.relu, dropout=0.0):
        super().__init__()
        self.dense0 = nn.Linear(6, num_units)
        self.nonlin = nonlin
        self.dropout = nn.Dropout(dropout)
        self.dense1 = nn.Linear(num_units, num_units)
        self.output = nn.Linear(num_units, 3)

    def forward(self, X):
        X = self.nonlin(self.dense0(X))
        X = self.dropout(X)
        X = self.nonlin(self.dense1(X))
        return F.softmax(self.output(X), dim=-1)


def make_classifier():
    return Classifier(ClassifierModule, lr=0.02, max_epochs=20)
