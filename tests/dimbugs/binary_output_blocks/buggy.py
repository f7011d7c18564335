from __future__ import annotations

from typing import Sequence

import torch
from torch import nn


class ModelOutput(nn.Module):
    """The last layer of one task, with the loss that the task is trained by unless told otherwise."""

    default_loss: type[nn.Module]

    def __init__(self, to_call: nn.Module, loss: nn.Module | None = None):
        super().__init__()
        self.to_call = to_call
        self.loss = loss if loss is not None else self.default_loss()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.to_call(inputs).squeeze(-1)


class BinaryOutput(ModelOutput):
    default_loss = nn.BCEWithLogitsLoss

    def __init__(self, features: int, loss: nn.Module | None = None):
        super().__init__(nn.Sequential(nn.Linear(features, 1), nn.Sigmoid()), loss)


class RegressionOutput(ModelOutput):
    default_loss = nn.MSELoss

    def __init__(self, features: int, loss: nn.Module | None = None):
        super().__init__(nn.Linear(features, 1), loss)


class Model(nn.Module):
    def __init__(self, features: int, hidden: Sequence[int], tasks: dict[str, type[ModelOutput]]):
        super().__init__()
        sizes = [features, *hidden]
        self.body = nn.Sequential()
        for i, (size, following) in enumerate(zip(sizes, sizes[1:])):
            self.body.add_module(f"dense_{i}", nn.Linear(size, following))
            self.body.add_module(f"relu_{i}", nn.ReLU())
        self.outputs = nn.ModuleDict({name: output(sizes[-1]) for name, output in tasks.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.body(x)
        return {name: output(x) for name, output in self.outputs.items()}

    def training_step(self, batch) -> torch.Tensor:
        inputs, targets = batch
        predictions = self(inputs)
        losses = [output.loss(predictions[name], targets[name]) for name, output in self.outputs.items()]
        return torch.stack(losses).mean()


def watch_model() -> Model:
    return Model(4, (16, 8), {"click": BinaryOutput, "play_percentage": RegressionOutput})
