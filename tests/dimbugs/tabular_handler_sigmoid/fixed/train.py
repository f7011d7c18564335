from torch.nn import BCEWithLogitsLoss
from torch.optim import Adam

from .network import IncomeNet


class Target:
    """What an audit has to know of the model that it attacks."""

    def model(self):
        return IncomeNet()

    def criterion(self):
        return BCEWithLogitsLoss()

    def optimizer(self, model):
        return Adam(model.parameters(), lr=0.02)


class Fitting:
    def __init__(self, target):
        self.model = target.model()
        self.criterion = target.criterion()
        self.optimizer = target.optimizer(self.model)

    def step(self, rows, answers):
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(rows), answers)
        loss.backward()
        self.optimizer.step()
        return loss
