"""One training: a backbone and a head from their start to the epoch that was best on the validation part."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from anymax.lab import backbones, measures
from anymax.lab.methods import Method
from anymax.lab.parts import IGNORED, Part, Parts, Task
from anymax.lab.results import MEASURES, Curve

UNTIMED_STEPS = 3  # the first steps of a training allocate and warm up
EVALUATION_ROWS = 512


@dataclass(frozen=True)
class Plan:
    """What all trainings of a comparison share."""

    task: Task
    decide_by: str
    measured_classes: list[int]
    epochs: int
    patience: int  # epochs without a better validation value after which training stops
    batch_size: int


class Model(nn.Module):
    """A backbone and a head; calling it gives the training loss."""

    def __init__(self, backbone: backbones.FeatureBackbone | backbones.TextBackbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return self.head(self.backbone(input), target)


@dataclass(frozen=True)
class Standing:
    """How a model does on the validation part: in the deciding measure, and among equals by its loss.

    Accuracy on a few dozen rows is often the same for epochs on end, in which the probabilities still get better.
    The loss is the negative log-likelihood, or the method's own where it defines no law.
    """

    value: float
    loss: float

    def beats(self, other: Standing | None, decide_by: str) -> bool:
        """Whether this is the better one, and strictly so."""
        if other is None:
            return True
        if self.value == other.value:
            return self.loss < other.loss
        return (self.value > other.value) == MEASURES[decide_by].higher_is_better


@dataclass
class Training:
    """What a training came to; `model` stands at its best epoch."""

    model: Model
    learning_rate: float
    best_epoch: int = 0
    best: Standing | None = None
    curve: Curve = field(default_factory=Curve)
    train_seconds: float = 0.0
    seconds_per_step: float = 0.0

    @property
    def best_validation(self) -> float | None:
        """The deciding measure on the validation part at the best epoch; None where training diverged at once."""
        return None if self.best is None else self.best.value

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def start(method: Method, task: Task, parts: Parts, seed: int) -> Model:
    """A model at the start that all methods share: the same backbone and the same class weights for one seed."""
    torch.manual_seed(seed)
    backbone = backbones.build(task, parts)
    bound = backbone.out_features**-0.5
    weight = torch.empty(len(parts.class_counts), backbone.out_features).uniform_(-bound, bound)
    head = method.make(backbone.out_features, parts.class_counts)
    own = getattr(head, "weight", None)
    if isinstance(own, nn.Parameter) and own.shape == weight.shape:
        with torch.no_grad():
            own.copy_(weight)
    return Model(backbone, head)


def train(
    method: Method,
    plan: Plan,
    parts: Parts,
    *,
    repeat: int,
    learning_rate: float,
    fabric: Fabric,
    on_epoch: Callable[[int, float | None], None] = lambda epoch, validation: None,
) -> Training:
    """Train one method at one rate; stops early, or where the validation value is no longer a number.

    Args:
        method: the head to train.
        plan: what all trainings share.
        parts: training and validation part are read, the test part is not.
        repeat: start, batch order and noise follow from it alone.
        learning_rate: AdamW's.
        fabric: the device and precision.
        on_epoch: told the epoch (from 1) and its validation value.
    """
    start_seed, batch_seed, noise_seed = (int(s) for s in np.random.SeedSequence(repeat).generate_state(3))
    model = start(method, plan.task, parts, start_seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
    wrapped, optimizer = fabric.setup(model, optimizer)
    inputs, targets = parts.train.inputs.to(fabric.device), parts.train.targets.to(fabric.device)
    batch_order = torch.Generator().manual_seed(batch_seed)
    torch.manual_seed(noise_seed)

    training = Training(model, learning_rate)
    clock = _StepClock(fabric.device)
    best_state = copy.deepcopy(model.state_dict())
    for epoch in range(1, plan.epochs + 1):
        model.train()
        order = torch.randperm(len(inputs), generator=batch_order).to(fabric.device)
        loss = torch.tensor(torch.nan)
        clock.start()
        for rows in order.split(plan.batch_size):
            loss = wrapped(inputs[rows], targets[rows])
            optimizer.zero_grad()
            fabric.backward(loss)
            optimizer.step()
            clock.step()
        clock.stop()
        standing = _standing(model, method, plan, parts.validation) if bool(torch.isfinite(loss)) else None
        training.curve.seconds.append(clock.seconds)
        training.curve.validation.append(None if standing is None else standing.value)
        on_epoch(epoch, training.curve.validation[-1])
        if standing is None:
            break
        if standing.beats(training.best, plan.decide_by):
            training.best, training.best_epoch = standing, epoch
            best_state = copy.deepcopy(model.state_dict())
        elif epoch - training.best_epoch >= plan.patience:
            break
    model.load_state_dict(best_state)
    training.train_seconds = clock.seconds
    training.seconds_per_step = clock.seconds / max(1, clock.timed_steps)
    return training


@torch.no_grad()
def observe(model: Model, method: Method, part: Part) -> measures.Outcome:
    """Predictions and probabilities of a model on every item of a part."""
    model.eval()
    device = next(model.parameters()).device
    features = torch.cat([model.backbone(rows.to(device)) for rows in part.inputs.split(EVALUATION_ROWS)])
    kept = part.targets.to(device) != IGNORED
    return measures.observe(
        part.targets.to(device)[kept],
        features[kept],
        log_prob=model.head.log_prob if method.defines_law else None,  # type: ignore[arg-type]
        predict=model.head.predict,  # type: ignore[arg-type]
    )


@torch.no_grad()
def _standing(model: Model, method: Method, plan: Plan, part: Part) -> Standing | None:
    """How the model does on a part; None where the deciding measure is no number."""
    outcome = observe(model, method, part)
    value = measures.value(outcome, plan.decide_by, plan.measured_classes)
    if value is None:
        return None
    if outcome.law is not None:
        return Standing(value, float(outcome.law.nll.mean()))
    device = next(model.parameters()).device
    batches = zip(part.inputs.split(EVALUATION_ROWS), part.targets.split(EVALUATION_ROWS), strict=True)
    losses = [float(model(rows.to(device), targets.to(device))) * len(rows) for rows, targets in batches]
    return Standing(value, sum(losses) / len(part))


class _StepClock:
    """Seconds spent in training steps, without the first few of the training."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = 0.0
        self.steps = 0
        self.began = 0.0

    @property
    def timed_steps(self) -> int:
        return max(0, self.steps - UNTIMED_STEPS)

    def start(self) -> None:
        self._wait()
        self.began = time.perf_counter()

    def step(self) -> None:
        self.steps += 1
        if self.steps == UNTIMED_STEPS:
            self.start()

    def stop(self) -> None:
        self._wait()
        if self.steps > UNTIMED_STEPS:
            self.seconds += time.perf_counter() - self.began

    def _wait(self) -> None:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
