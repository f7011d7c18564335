"""One training: a backbone and a head from their start to the epoch that was best on the validation part."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from anymax._core import memory
from anymax.lab import results
from anymax.lab.data.dataset import IGNORED, Part, Parts, Trained
from anymax.lab.measure import MEASURES, Task
from anymax.lab.measuring import calibration, labels, measures
from anymax.lab.measuring.labels import LabelOutcome
from anymax.lab.measuring.outcomes import Answers
from anymax.lab.results import Curve, DataInfo
from anymax.lab.training import backbones
from anymax.lab.training.methods import LabelHead, Method

UNTIMED_STEPS = 3  # the first steps of a training allocate and warm up
PACE_STEPS, PACE_SECONDS = 5, 0.25  # a pace is taken over this many steps or more, and for this long
PACE_ROWS: dict[Task, int] = {
    "classification": 8192,
    "multilabel": 8192,
    "text": 512,
}  # what of the validation part is looked at
EVALUATION_ROWS = 512
LOOKS_PER_BUDGET = 10  # looks at the validation part within a budget, where its epochs are longer


@dataclass(frozen=True)
class Plan:
    """What all trainings of a comparison share."""

    task: Task
    decide_by: str
    measured_ids: list[int]
    epochs: int
    patience: int  # epochs without a better validation value after which training stops
    batch_size: int
    budget: float | None = None  # seconds in training steps that a training takes, whatever its epochs
    backbone: backbones.Factory | None = None  # the user's own; None where the built-in one is taken


class Model(nn.Module):
    """A backbone and a head; calling it gives the training loss."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return self.head(self.backbone(input), target)


@dataclass(frozen=True)
class Standing:
    """How a model does on the validation part: in the deciding measure, and among equals by its loss.

    Accuracy on a few dozen rows is often the same for epochs on end, in which the probabilities still get better.
    The loss is the negative log-likelihood, or the method's own where it defines no law or one with zeros.
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
    """What a training came to, as plain data."""

    learning_rate: float
    parameters: int  # how many numbers the model learns
    best_epoch: int = 0  # 0 where training diverged at once
    best: Standing | None = None
    curve: Curve = field(default_factory=Curve)
    train_seconds: float = 0.0
    seconds_per_step: float = 0.0
    seconds: float = 0.0  # wall clock, looks at the validation and the test part included
    strength: float | None = None  # of a method that has one

    @property
    def best_validation(self) -> float | None:
        """The deciding measure on the validation part at the best epoch; None where training diverged at once."""
        return None if self.best is None else self.best.value


def start(
    method: Method,
    task: Task,
    parts: Trained,
    seed: int,
    backbone_factory: backbones.Factory | None = None,
    strength: float | None = None,
) -> Model:
    """A model at the start that all methods share: the same backbone and the same class weights for one seed."""
    torch.manual_seed(seed)
    backbone = backbones.build(task, parts, backbone_factory)
    bound = backbone.out_features**-0.5
    weight = torch.empty(len(parts.class_counts), backbone.out_features).uniform_(-bound, bound)
    if task == "multilabel":
        head = method.label_head(backbone.out_features, parts.class_counts, len(parts.train))
    else:
        head = method.head(backbone.out_features, parts.class_counts, strength)
    own = getattr(head, "weight", None)
    if isinstance(own, nn.Parameter) and own.shape == weight.shape:
        with torch.no_grad():
            own.copy_(weight)
    return Model(backbone, head)


def untrained(method: Method, plan: Plan, parts: Trained, repeat: int, strength: float | None = None) -> Model:
    """The model that `train` starts from in this repeat."""
    return start(method, plan.task, parts, _seeds(repeat)[0], plan.backbone, strength)


def train(
    method: Method,
    plan: Plan,
    parts: Parts,
    *,
    repeat: int,
    learning_rate: float,
    strength: float | None = None,
    fabric: Fabric,
    on_epoch: Callable[[int, float | None], None] = lambda epoch, validation: None,
) -> tuple[Model, Training]:
    """Train one method at one setting; stops early, or where the validation value is no longer a number.

    Returns the model at its best epoch, and what is to be known of the training.

    Args:
        method: the head to train.
        plan: what all trainings share.
        parts: training and validation part are read, the test part is not.
        repeat: start, batch order and noise follow from it alone.
        learning_rate: AdamW's.
        strength: the method's; None for its usual one.
        fabric: the device and precision.
        on_epoch: told the epoch (from 1) and its validation value.
    """
    began = time.perf_counter()
    model, step, batches = _begun(method, plan, parts, repeat, learning_rate, strength, fabric)
    training = Training(learning_rate, _learned(model), strength=strength)
    clock = _StepClock(fabric.device)
    best_state = copy.deepcopy(model.state_dict())
    for evaluation in itertools.count(1):
        model.train()
        loss = torch.tensor(torch.nan)
        look_at = clock.seconds + (plan.budget or math.inf) / LOOKS_PER_BUDGET
        clock.start()
        for rows, ends_epoch in batches:
            loss = step(rows)
            clock.step()
            if ends_epoch or (plan.budget is not None and fabric.broadcast(clock.now() >= look_at)):
                break
        clock.stop()
        standing = None
        if fabric.is_global_zero and bool(torch.isfinite(loss)):
            standing = _standing(model, method, plan, parts.validation)
        # one process decides for all when to stop
        standing = fabric.broadcast(standing)
        training.curve.seconds.append(clock.seconds)
        training.curve.validation.append(None if standing is None else standing.value)
        on_epoch(evaluation, training.curve.validation[-1])
        if standing is None:
            break
        if standing.beats(training.best, plan.decide_by):
            training.best, training.best_epoch = standing, evaluation
            best_state = copy.deepcopy(model.state_dict())
        if plan.budget is not None:
            if fabric.broadcast(clock.seconds >= plan.budget):
                break
        elif evaluation == plan.epochs or evaluation - training.best_epoch >= plan.patience:
            break
    model.load_state_dict(best_state)
    training.train_seconds = clock.seconds
    training.seconds_per_step = clock.seconds / max(1, clock.timed_steps)
    training.seconds = time.perf_counter() - began
    return model, training


def train_for(
    method: Method,
    plan: Plan,
    parts: Trained,
    *,
    epochs: float,
    learning_rate: float,
    strength: float | None = None,
    fabric: Fabric,
) -> Model | None:
    """Train one method for so many epochs and look at no other part; None where its loss is no number any more.

    Args:
        method: the head to train.
        plan: what all trainings share; its epochs and budget are not looked at.
        parts: the training part is read.
        epochs: how often each row is seen, which may be a fraction; one step at least.
        learning_rate: AdamW's.
        strength: the method's; None for its usual one.
        fabric: the device and precision, of one process.
    """
    model, step, batches = _begun(method, plan, parts, 0, learning_rate, strength, fabric)
    model.train()
    loss = torch.tensor(torch.nan)
    seen, to_see = 0, epochs * len(parts.train)
    for rows, _ in batches:
        loss = step(rows)
        seen += len(rows)
        if seen >= to_see:
            break
    return model if bool(torch.isfinite(loss)) else None


def _begun(
    method: Method,
    plan: Plan,
    parts: Trained,
    repeat: int,
    learning_rate: float,
    strength: float | None,
    fabric: Fabric,
) -> tuple[Model, Callable[[Tensor], Tensor], Iterator[tuple[Tensor, bool]]]:
    """A model at its start, what takes a step on a batch of rows and gives its loss, and the batches."""
    model = untrained(method, plan, parts, repeat, strength)
    _, batch_seed, noise_seed = _seeds(repeat)
    wrapped, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True))
    inputs, targets = parts.train.inputs.to(fabric.device), parts.train.targets.to(fabric.device)
    batch_order = torch.Generator().manual_seed(batch_seed)
    torch.manual_seed(noise_seed + fabric.global_rank)

    def step(rows: Tensor) -> Tensor:
        own = _own_share(rows, fabric).to(fabric.device)
        return _step(plan, wrapped, optimizer, fabric, inputs[own], targets[own])

    return model, step, _batches(len(inputs), plan.batch_size, batch_order, fabric.world_size)


def _learned(model: Model) -> int:
    """How many numbers a model learns."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _batches(rows: int, batch_size: int, generator: torch.Generator, world_size: int) -> Iterator[tuple[Tensor, bool]]:
    """Row numbers of one batch after another, without end, and whether an epoch ends with it.

    A last batch of one row for each process joins the one before: batch normalisation, which a user's backbone may
    hold, is not defined on a single row.
    """
    while True:
        order = list(torch.randperm(rows, generator=generator).split(batch_size))
        if len(order) > 1 and len(order[-1]) <= world_size:
            order[-2:] = [torch.cat(order[-2:])]
        for i, batch in enumerate(order):
            yield batch, i == len(order) - 1


def _own_share(rows: Tensor, fabric: Fabric) -> Tensor:
    """The rows of a batch that this process takes: as many as every other one, the first ones again to fill up."""
    missing = -len(rows) % fabric.world_size
    return torch.cat([rows, rows.repeat(missing)[:missing]])[fabric.global_rank :: fabric.world_size]


def _step(plan: Plan, model: nn.Module, optimizer: Any, fabric: Fabric, inputs: Tensor, targets: Tensor) -> Tensor:
    """One training step; the loss before it."""
    with backbones.blamed(plan.backbone, "in a training step"):
        loss = model(inputs, targets)
        optimizer.zero_grad()
        fabric.backward(loss)
        optimizer.step()
        return loss


@dataclass(frozen=True)
class Pace:
    """What one method takes: seconds for a training step and for one look at the validation part, and memory."""

    step: float
    evaluation: float
    peak_bytes: int  # of a training step, above parameters, inputs and the optimizer's state
    parameters: int = 0  # how many numbers the model learns


def pace(method: Method, plan: Plan, parts: Parts, fabric: Fabric) -> Pace:
    """Time a few steps and a look at a piece of the validation part, and measure a step's memory, before training."""
    model = untrained(method, plan, parts, repeat=0)
    wrapped, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=0.0, fused=True))
    inputs, targets = parts.train.inputs.to(fabric.device), parts.train.targets.to(fabric.device)
    clock = _StepClock(fabric.device)
    batches = _batches(len(inputs), plan.batch_size, torch.Generator().manual_seed(0), fabric.world_size)
    clock.start()
    for rows, _ in batches:
        own = _own_share(rows, fabric).to(fabric.device)
        _step(plan, wrapped, optimizer, fabric, inputs[own], targets[own])
        clock.step()
        if clock.timed_steps >= PACE_STEPS and fabric.broadcast(clock.now() >= PACE_SECONDS):
            break
    clock.stop()
    # the same rows and noise however many steps were timed
    own = _own_share(torch.arange(min(plan.batch_size, len(inputs))), fabric).to(fabric.device)
    step_inputs, step_targets = inputs[own], targets[own]
    torch.manual_seed(0)
    optimizer.zero_grad()
    peak = memory.peak_of_step(
        lambda: _step(plan, wrapped, optimizer, fabric, step_inputs, step_targets), torch.device(fabric.device)
    )
    for rows in (32, PACE_ROWS[plan.task]):  # the first look allocates
        piece = Part(parts.validation.inputs[:rows], parts.validation.targets[:rows])
        began = time.perf_counter()
        _standing(model, method, plan, piece)
        took = time.perf_counter() - began
    evaluation = took * len(parts.validation) / len(piece)
    return Pace(clock.seconds / clock.timed_steps, evaluation, peak, _learned(model))


def _seeds(repeat: int) -> list[int]:
    """The seeds of a repeat: of the start, the order of batches and the noise."""
    return [int(seed) for seed in np.random.SeedSequence(repeat).generate_state(3)]


@torch.no_grad()
def look(
    model: Model, method: Method, part: Part, *, scores: bool = False, ranks: bool = False
) -> measures.Outcome | LabelOutcome:
    """Predictions and probabilities of a model on every item of a part; with its scores and ranks where asked."""
    targets, features = _items(model, part)
    return _outcome(model, method, targets, features, scores=scores, ranks=ranks)


@torch.no_grad()
def look_at_test(
    model: Model, method: Method, plan: Plan, parts: Parts, info: DataInfo, unknown_class: int | None
) -> tuple[results.Tested, Answers]:
    """All that is taken on the test part, the temperature fitted on the validation part included."""
    scaled = None
    targets, features = _items(model, parts.test)
    if method.defines_law and plan.task != "multilabel":
        scores, predict = method.to_scale(model.head), model.head.predict
        scaling = calibration.fit(*_items(model, parts.validation), scores, method.alpha)
        scaled = calibration.scaled(scaling, targets, features, scores, predict) if scaling else None  # type: ignore[arg-type]
    counts = parts.class_counts.tolist()
    outcome = _outcome(model, method, targets, features, scores=True, ranks=takes_average_precision(plan, counts))
    return measured(outcome, plan, counts, info, unknown_class, scaled)


def takes_average_precision(plan: Plan, class_counts: list[int]) -> bool:
    """Whether average precision is taken on the test part."""
    return plan.task == "classification" and (
        plan.decide_by == "average_precision" or measures.takes_average_precision(class_counts, plan.measured_ids)
    )


def value(outcome: measures.Outcome | LabelOutcome, key: str, measured_ids: Sequence[int]) -> float | None:
    """One measure of an outcome; None where there is none or it is not finite."""
    taken = labels if isinstance(outcome, LabelOutcome) else measures
    return taken.value(outcome, key, measured_ids)  # type: ignore[arg-type]


def measured(
    outcome: measures.Outcome | LabelOutcome,
    plan: Plan,
    class_counts: list[int],
    info: DataInfo,
    unknown_class: int | None = None,
    scaled: results.Scaled | None = None,
) -> tuple[results.Tested, Answers]:
    """All that is taken of an outcome of the test part, and what is kept of its items."""
    if isinstance(outcome, LabelOutcome):
        tested = labels.of_test_part(
            outcome, plan.measured_ids, label_counts=class_counts, label_names=info.class_names
        )
        return tested, Answers(outcome.predictions, labels.by_item(outcome, plan.measured_ids))
    tested = measures.of_test_part(
        outcome,
        plan.task,
        plan.measured_ids,
        class_counts=class_counts,
        class_names=info.class_names,
        unknown_class=unknown_class,
        scaled=scaled,
    )
    adds = measures.by_item(outcome, plan.task, plan.measured_ids)
    return tested, Answers(outcome.predictions.astype(np.int32), adds)


def _items(model: Model, part: Part) -> tuple[Tensor, Tensor]:
    """The targets of a part that are to be predicted, and what the backbone makes of their inputs."""
    model.eval()
    features = torch.cat([model.backbone(taken_by(model, rows)) for rows in part.inputs.split(EVALUATION_ROWS)])
    targets = part.targets.to(features.device)
    if targets.is_floating_point():  # labels of rows, all of which are to be predicted
        return targets, features
    return targets[targets != IGNORED], features[targets != IGNORED]


def taken_by(model: Model, values: Tensor) -> Tensor:
    """Numbers or ids where the model is, and numbers as precise as it is."""
    like = next(model.head.parameters())
    return values.to(like) if values.is_floating_point() else values.to(like.device)


def _outcome(
    model: Model, method: Method, targets: Tensor, features: Tensor, *, scores: bool, ranks: bool
) -> measures.Outcome | LabelOutcome:
    if isinstance(model.head, LabelHead):
        return labels.observe(targets, features, model.head.answer)
    log_prob: Any = model.head.log_prob if method.defines_law else None
    ranking = log_prob if method.answers_by_law else getattr(model.head, "scores", None)
    return measures.observe(
        targets,
        features,
        log_prob=log_prob,
        predict=model.head.predict,  # type: ignore[arg-type]
        scores=ranking if scores else None,
        ranks=ranks,
        alpha=method.alpha,
        has_log_z=method.has_log_z,
    )


@torch.no_grad()
def _standing(model: Model, method: Method, plan: Plan, part: Part) -> Standing | None:
    """How the model does on a part; None where the deciding measure is no number."""
    from_scores = MEASURES[plan.decide_by].from_scores
    outcome = look(model, method, part, scores=from_scores, ranks=from_scores)
    reached = value(outcome, plan.decide_by, plan.measured_ids)
    if reached is None:
        return None
    if isinstance(outcome, LabelOutcome):
        return Standing(reached, float(outcome.nll.mean()))
    if outcome.law is not None and not outcome.law.has_zeros:
        return Standing(reached, float(outcome.law.nll.mean()))
    batches = zip(part.inputs.split(EVALUATION_ROWS), part.targets.split(EVALUATION_ROWS), strict=True)
    losses = [float(model(taken_by(model, rows), taken_by(model, targets))) * len(rows) for rows, targets in batches]
    return Standing(reached, sum(losses) / len(part))


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

    def now(self) -> float:
        """Seconds up to this step, without waiting for what an accelerator has still to do."""
        return self.seconds + (time.perf_counter() - self.began if self.steps > UNTIMED_STEPS else 0.0)

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
