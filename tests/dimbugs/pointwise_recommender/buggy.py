import torch
from torch import nn


class GeneralRecommender(nn.Module):
    """What the recommenders share: the criterion, the optimiser and a step over one batch of clicks."""

    def __init__(self, loss_type="CL", lr=0.05):
        super().__init__()
        self.loss_type = loss_type
        self.lr = lr
        self.optimizer = None

    def _build_criterion(self) -> nn.Module:
        if self.loss_type == "CL":
            return nn.BCEWithLogitsLoss()
        if self.loss_type == "SL":
            return nn.MSELoss()
        raise NotImplementedError(f"no loss of type {self.loss_type}")

    def fit_batch(self, user, item, label):
        if self.optimizer is None:
            self.optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        loss = self._build_criterion()(self(user, item), label)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss


class NeuMF(GeneralRecommender):
    """A product of factors next to a small network, put together by a last layer."""

    def __init__(self, users, items, factors=8, depth=2, **config):
        super().__init__(**config)
        self.user_gmf, self.item_gmf = nn.Embedding(users, factors), nn.Embedding(items, factors)
        self.user_mlp, self.item_mlp = nn.Embedding(users, factors), nn.Embedding(items, factors)
        self.mlp = nn.ModuleList(nn.Linear(2 * factors, 2 * factors) for _ in range(depth))
        self.predict_layer = nn.Linear(3 * factors, 1)

    def forward(self, user, item):
        product = self.user_gmf(user) * self.item_gmf(item)
        hidden = torch.cat([self.user_mlp(user), self.item_mlp(item)], dim=-1)
        for layer in self.mlp:
            hidden = torch.relu(layer(hidden))
        pred = self.predict_layer(torch.cat([product, hidden], dim=-1))
        return pred.sigmoid().view(-1)
