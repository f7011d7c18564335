"""Your own network before the heads: a residual MLP, in place of the one that `anymax compare` brings.

A factory takes the number of inputs and returns a new module from floats (rows, in_features) to (rows, features). It is
called once for each training, after torch.manual_seed, so that all heads of a repeat start from the same weights. For
text it takes the number of words, and the module maps word ids (windows, length) to (windows, length, features).

Run: python examples/own_backbone.py
or:  cd examples && anymax compare wine --backbone own_backbone:residual_mlp
"""

import torch
from torch import Tensor, nn

WIDTH, BLOCKS = 32, 2


class Residual(nn.Module):
    """x + f(x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, input: Tensor) -> Tensor:
        return input + self.inner(input)


def residual_mlp(in_features: int) -> nn.Module:
    """Residual blocks over a linear map of the inputs."""
    return nn.Sequential(nn.Linear(in_features, WIDTH), *(Residual(WIDTH) for _ in range(BLOCKS)), nn.LayerNorm(WIDTH))


def main() -> None:
    from anymax.lab import compare

    network = residual_mlp(13)
    print(f"features: {tuple(network(torch.zeros(5, 13)).shape)}")
    comparison = compare("wine", backbone=residual_mlp, methods=["softmax", "sigmoid"], seeds=3, epochs=5, device="cpu")
    print(f"backbone: {comparison.options['backbone']}")
    for method in comparison.methods:
        trials = comparison.of(method.name)
        accuracy = sum(trial.tested.measures["top1"] for trial in trials) / len(trials)
        print(f"{method.name}: {trials[0].parameters} parameters, accuracy {accuracy:.3f}")
    print(comparison.verdict.text)


if __name__ == "__main__":
    main()
