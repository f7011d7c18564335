import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    net = half.mlp([4, 16, 3])
    laplace = half.LastLayerLaplace(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    loader = [(torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0]))]
    return Drive(laplace, loader[0][0], step=lambda: half.train_epoch(net, optimizer, loader))


def symptom(half):
    """Whether a network that is sure, and a wrapper without doubts, are less than sure together."""
    torch.manual_seed(0)
    laplace = half.LastLayerLaplace(half.mlp([4, 16, 3]))
    laplace.variance.zero_()
    laplace.net[-1].bias.data = torch.tensor([50.0, 0.0, 0.0])
    probs, _ = half.test_predictions(laplace, [(torch.zeros(2, 4), torch.zeros(2))])
    assert sums_to_one(probs, -1)
    return float(probs[0, 0]) < 0.9
