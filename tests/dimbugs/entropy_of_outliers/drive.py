import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    detector = half.EntropyDetector(half.make_model(5, 3))
    optimizer = torch.optim.SGD(detector.model.parameters(), lr=0.05, nesterov=True, momentum=0.9)
    x, y = torch.randn(6, 5), torch.tensor([0, 1, -1, 2, -1, 1])
    step = lambda: half.outlier_exposure_step(detector, optimizer, x, y)  # noqa: E731
    return Drive(detector, x, lambda entropy, y: F.mse_loss(entropy, y.float()), y, step=step)


def symptom(half):
    """Whether a prediction without a doubt has an entropy that is no number."""
    return bool(half.EntropyDetector.score(torch.tensor([[300.0, 0.0, -20.0]])).isnan())
