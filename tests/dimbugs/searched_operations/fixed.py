import torch
from torch import nn


class Zero(nn.Module):
    def forward(self, x):
        return 0 * x


OPS = {
    "none": lambda C: Zero(),
    "skip": lambda C: nn.Identity(),
    "mlp": lambda C: nn.Sequential(nn.Linear(C, C), nn.ReLU()),
}


class TinyNetwork(nn.Module):
    """Cells of edges in a row; each edge holds all candidates until the search is over."""

    def __init__(self, in_dim, classes, C=8, cells=2, edges=4):
        super().__init__()
        self.stem = nn.Linear(in_dim, C)
        self.cells = nn.ModuleList(
            nn.ModuleList(nn.ModuleList(make(C) for make in OPS.values()) for _ in range(edges)) for _ in range(cells)
        )
        self.classifier = nn.Linear(C, classes)
        self.arch_parameters = nn.Parameter(1e-3 * torch.randn(cells, len(OPS), edges))
        self.tau = 10.0

    def set_tau(self, tau):
        self.tau = tau

    def sample(self):
        return nn.functional.gumbel_softmax(self.arch_parameters, self.tau, hard=True, dim=1)

    def genotype(self):
        names = list(OPS)
        return [[names[i] for i in cell] for cell in self.arch_parameters.argmax(dim=1).tolist()]

    def forward(self, inputs):
        hardwts = self.sample()
        feature = self.stem(inputs)
        for cell, weights in zip(self.cells, hardwts, strict=True):
            for edge, w in zip(cell, weights.unbind(dim=1), strict=True):
                feature = feature + sum(w[k] * op(feature) for k, op in enumerate(edge))
        return self.classifier(feature)


class Searcher:
    def __init__(self, network, lr=0.025, arch_lr=3e-4):
        weights = [p for name, p in network.named_parameters() if name != "arch_parameters"]
        self.network = network
        self.w_optimizer = torch.optim.SGD(weights, lr=lr, momentum=0.9)
        self.a_optimizer = torch.optim.Adam([network.arch_parameters], lr=arch_lr, weight_decay=1e-3)
        self.criterion = nn.CrossEntropyLoss()

    def search_step(self, base, arch):
        for (inputs, targets), optimizer in ((base, self.w_optimizer), (arch, self.a_optimizer)):
            optimizer.zero_grad()
            loss = self.criterion(self.network(inputs), targets)
            loss.backward()
            optimizer.step()
        return loss
