from torch import nn, sigmoid


class IncomeNet(nn.Module):
    """Whether somebody earns more than a threshold."""

    def __init__(self, columns=9, width=16):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.more = nn.Linear(width, 1)

    def forward(self, rows):
        return sigmoid(self.more(self.body(rows))).squeeze(-1)
