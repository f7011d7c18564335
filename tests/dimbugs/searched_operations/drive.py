import torch

from tests.dimbugs.driving import Drive, sums_to_one


def drive(half):
    torch.manual_seed(0)
    network = half.TinyNetwork(in_dim=5, classes=3)
    searcher = half.Searcher(network)
    inputs, targets = torch.randn(4, 5), torch.tensor([0, 2, 1, 1])
    step = lambda: searcher.search_step((inputs, targets), (inputs.flip(0), targets.flip(0)))  # noqa: E731
    return Drive(network, inputs, torch.nn.functional.cross_entropy, targets, step=step)


def symptom(half):
    """Whether some edge got no operation, or several."""
    torch.manual_seed(0)
    return not sums_to_one(half.TinyNetwork(in_dim=5, classes=3).sample(), 1)
