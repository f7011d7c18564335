"""The last layer of a model that others wrote becomes a head, in one line."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import anymax


class Network(nn.Module):
    """Shaped as the models of torchvision and timm: convolutions, pooling, and a layer `fc` that gives the scores."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(8, num_classes)

    def features(self, images: Tensor) -> Tensor:
        return self.conv(images).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.features(images))


HEADS = {
    "softmax": lambda: anymax.nn.SoftmaxHead(8, 10),
    "gumbel": lambda: anymax.nn.GumbelSoftmaxHead(8, 10),
    "sigmoid": lambda: anymax.nn.SigmoidHead(8, 10),
    "nce": lambda: anymax.nn.NCEHead(8, 10, class_counts=torch.ones(10), num_noise=4),
    "sampled": lambda: anymax.nn.SampledSoftmaxHead(8, 10, class_counts=torch.ones(10), num_noise=4),
}


@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_one_line_swaps_the_last_layer(make):
    torch.manual_seed(0)
    images, target = torch.randn(16, 3, 8, 8), torch.arange(16) % 10
    model = Network(10)
    trained = model.state_dict()
    expected = model.eval()(images)

    model.fc = make()

    assert model(images).shape == (16, 10)
    model.load_state_dict(trained)
    assert_close(model(images), expected)
    assert isinstance(model.fc, nn.Linear)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with torch.no_grad():
        before = nn.functional.cross_entropy(model(images), target)
    for step in range(60):
        optimizer.zero_grad()
        torch.manual_seed(step)
        model.fc(model.features(images), target).backward()
        optimizer.step()
    with torch.no_grad():
        assert nn.functional.cross_entropy(model(images), target) < before
    fresh = Network(10)
    fresh.fc = make()
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.eval()(images), model(images))
