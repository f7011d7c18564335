import torch.nn.functional as F
from classifier import NeuralNetClassifier
from torch import nn


class ClassifierModule(nn.Module):
    def __init__(self, input_units=20, num_units=10, output_units=2, nonlin=F.relu):
        super().__init__()
        self.nonlin = nonlin
        self.dense0 = nn.Linear(input_units, num_units)
        self.dense1 = nn.Linear(num_units, num_units)
        self.output = nn.Linear(num_units, output_units)

    def forward(self, X):
        X = self.nonlin(self.dense0(X))
        X = self.nonlin(self.dense1(X))
        return F.log_softmax(self.output(X), dim=-1)


def make_net(input_units, lr=0.1):
    return NeuralNetClassifier(ClassifierModule, lr=lr, input_units=input_units)
