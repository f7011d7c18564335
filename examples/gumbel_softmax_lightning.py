"""A discrete autoencoder in Lightning: a Gumbel-softmax sample feeds a decoder.

The encoder gives logits over 8 codes. In training a relaxed one-hot sample of that law goes into the decoder, so the
gradient of the reconstruction reaches the encoder through a random choice.

* The sample is a vector of probabilities. It feeds the decoder; it never goes into cross_entropy, which takes scores.
* The temperature is a buffer. A schedule that is a pure function of the step sets it, so a resumed run gets the right
  one, and state_dict saves it.
* The module samples in eval mode too. For a noise-free answer call `anymax.softmax(logits, dim=1)`, or
  `logits.argmax(1)` for the code itself.

Run: python examples/gumbel_softmax_lightning.py (needs the package lightning)
"""

import math

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import anymax

CODES, STEPS = 8, 300


def temperature_at(step: int) -> float:
    """From 1 down to 0.3, exponentially: nothing but the step decides."""
    return max(0.3, math.exp(-step / 150))


class DiscreteAutoencoder(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, CODES))
        self.gumbel_softmax = anymax.nn.GumbelSoftmax()
        self.decoder = torch.nn.Linear(CODES, 2)

    def forward(self, points: Tensor) -> Tensor:
        logits = self.encoder(points)
        return self.gumbel_softmax(logits)

    def codes(self, points: Tensor) -> Tensor:
        """The most probable code: no noise."""
        return self.encoder(points).argmax(1)

    def on_train_batch_start(self, batch: list[Tensor], batch_idx: int) -> None:
        self.gumbel_softmax.tau.fill_(temperature_at(self.global_step))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        (points,) = batch
        return (self.decoder(self(points)) - points).square().sum(1).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.02)


def clusters(per_cluster: int) -> tuple[Tensor, Tensor]:
    """Points around 4 corners of a square, and the corner of each."""
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    corner = torch.arange(4).repeat(per_cluster)
    return corners[corner] + 0.1 * torch.randn(len(corner), 2), corner


@torch.no_grad()
def error(model: DiscreteAutoencoder, points: Tensor) -> float:
    """The squared error of the reconstruction from the most probable code."""
    code = torch.nn.functional.one_hot(model.codes(points), CODES).float()
    return (model.decoder(code) - points).square().sum(1).mean().item()


def main() -> None:
    torch.manual_seed(0)
    points, corner = clusters(64)
    model = DiscreteAutoencoder()
    print(f"error before training: {error(model, points):.3f}")

    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(TensorDataset(points), batch_size=64, shuffle=True))

    print(f"error after {STEPS} steps:  {error(model, points):.3f}")
    print(f"temperature in the state dict: {model.state_dict()['gumbel_softmax.tau'].item():.3f}")
    codes_per_corner = [len(model.codes(points)[corner == at].unique()) for at in range(4)]
    corners_per_code = max(len(corner[model.codes(points) == code].unique()) for code in model.codes(points).unique())
    print(f"codes per corner: {codes_per_corner}, most corners that share a code: {corners_per_code}")

    model.eval()
    with torch.no_grad():
        print("two samples agree in eval mode:", torch.equal(model(points), model(points)))
        print("two noise-free answers agree:  ", torch.equal(model.codes(points), model.codes(points)))


if __name__ == "__main__":
    main()
