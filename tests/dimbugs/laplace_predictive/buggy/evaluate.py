import torch
from laplace import LastLayerLaplace


@torch.no_grad()
def test_predictions(model, loader):
    """Class probabilities for a test set, and its labels."""
    model.eval()
    py, targets = [], []
    for x, y in loader:
        out = model(x)
        py.append(torch.softmax(out, dim=-1))
        targets.append(y)
    return torch.cat(py), torch.cat(targets)
