import torch

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.DiscreteVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.rand(3, 12).round()
    return Drive(model, x, half.loss_function, x, step=lambda: half.train(model, optimizer, [x]))


def symptom(half):
    """Whether uniform latent variables are said to be far from uniform ones."""
    model = half.DiscreteVAE()
    torch.nn.init.zeros_(model.fc2.weight)
    torch.nn.init.zeros_(model.fc2.bias)
    x = torch.full((3, 12), 0.5)
    _, qy = model(x)
    return float(half.loss_function((torch.zeros(3, 12), qy), x)) > 12 * 0.6932
