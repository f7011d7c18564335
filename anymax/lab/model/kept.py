"""A model that was kept: what it is, and what it answers to rows that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from anymax.lab.data.dataset import Part, Whole
from anymax.lab.data.preparation import Preparation
from anymax.lab.data.readings import TableReading
from anymax.lab.data.table import TableDataset
from anymax.lab.measure import Task
from anymax.lab.measuring.calibration import log_probs
from anymax.lab.model.recipe import NotKept, Recipe
from anymax.lab.training import backbones, machine, trial
from anymax.lab.training.methods import METHODS, LabelHead


@dataclass(frozen=True)
class Facts:
    """What a kept model is, beside its weights and what was fitted on its columns; as JSON it is these fields.

    Args:
        recipe: how it was trained.
        data: what the data are called.
        class_names: the classes, by id.
        class_counts: rows of each class.
        inputs: how many inputs the network has, level ids included.
        numbers: how many of the first of these are numbers.
        levels: by embedded category, the levels that have a vector of their own.
        reading: how the columns are read.
        width: how many columns an array of rows has; None where the data came as a table with names.
        encoding: of the file of text, where the user named one.
        versions: of what a model depends on.
        task: whether rows have a class, or labels.
    """

    recipe: Recipe
    data: str
    class_names: list[str]
    class_counts: list[int]
    inputs: int
    numbers: int
    levels: dict[str, list[str]]
    reading: TableReading
    width: int | None
    encoding: str | None
    versions: dict[str, str]
    task: Task = "classification"


@dataclass(frozen=True)
class Kept:
    """A model with what it needs to answer to rows as they stand in a file."""

    facts: Facts
    preparation: Preparation
    model: trial.Model

    @property
    def defines_law(self) -> bool:
        """Whether it gives probabilities."""
        return METHODS[self.facts.recipe.method].has_law(self.facts.task)

    @torch.no_grad()
    def answer(self, columns: pd.DataFrame) -> tuple[np.ndarray, np.ndarray | None]:
        """The class id of each row, and the probability of every class: (rows,), (rows, classes) or None.

        Of labels whether each row has each, and the probability of that: (rows, labels) twice.

        Args:
            columns: as they were read by the reading of the model.
        """
        self.model.eval()
        method, head = METHODS[self.facts.recipe.method], self.model.head
        classes, probabilities = [], []
        for inputs in self.preparation.transform(columns).split(trial.EVALUATION_ROWS):
            features = self.model.backbone(trial.taken_by(self.model, inputs))
            if isinstance(head, LabelHead):
                answers, log_odds = head.answer(features)
                classes.append(answers)
                probabilities.append(log_odds.double().sigmoid())
                continue
            classes.append(head.predict(features)[1][:, 0])  # pyright: ignore[reportCallIssue]: every head has it
            if self.defines_law:
                scores = method.to_scale(head)(features).double() / (self.facts.recipe.temperature or 1.0)
                probabilities.append(log_probs(scores, method.alpha).exp())
        return torch.cat(classes).numpy(), torch.cat(probabilities).numpy() if probabilities else None


def train(
    dataset: TableDataset,
    recipe: Recipe,
    backbone: backbones.Factory | None,
    *,
    device: str,
    of_arrays: bool,
    encoding: str | None,
) -> Kept:
    """Train on all rows by what was chosen.

    Args:
        dataset: that of the comparison.
        recipe: what its repeats chose.
        backbone: the user's network, where the comparison had one.
        device: where to train; the model is kept on the CPU.
        of_arrays: whether the rows came as an array, without names.
        encoding: the one that the user named, of a file of text.

    Raises:
        NotKept: training diverges.
    """
    whole, preparation = dataset.whole()
    plan = trial.Plan(
        task=dataset.task,
        decide_by="top1",  # nothing is decided any more
        measured_ids=dataset.measured_ids,
        epochs=0,
        patience=0,
        batch_size=recipe.batch_size,
        backbone=backbone,
    )
    with machine.threads(dataset.task):
        model = trial.train_for(
            METHODS[recipe.method],
            plan,
            whole,
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            strength=recipe.strength,
            fabric=machine.alone(device, recipe.precision),
        )
    if model is None:
        raise NotKept(f"{recipe.method} diverged when it was trained on all rows")
    facts = Facts(
        recipe=recipe,
        data=dataset.name,
        class_names=dataset.class_names,
        class_counts=whole.class_counts.tolist(),
        inputs=whole.train.inputs.shape[1],
        numbers=whole.numbers,
        levels={name: list(levels) for name, levels in preparation.levels.items()},
        reading=dataset.reading,
        width=sum(column.kind != "target" for column in dataset.columns) if of_arrays else None,
        encoding=encoding,
        versions=machine.versions(),
        task=dataset.task,
    )
    return Kept(facts, preparation, model.cpu().eval())


def untrained(facts: Facts, backbone: backbones.Factory | None) -> trial.Model:
    """A model of the same sizes, for weights that were kept.

    Raises:
        OptionError: the user's backbone cannot be used.
    """
    nothing = Part(torch.zeros(backbones.PROBED, facts.inputs), torch.zeros(backbones.PROBED, dtype=torch.int64))
    levels = tuple(len(names) + 1 for names in facts.levels.values())
    shapes = Whole(nothing, torch.tensor(facts.class_counts), levels, facts.numbers)
    recipe = facts.recipe
    with torch.random.fork_rng(devices=[]):  # whoever loads a model goes on with the random numbers he had
        model = trial.start(METHODS[recipe.method], facts.task, shapes, 0, backbone, recipe.strength)
    return (model.double() if recipe.precision == "64-true" else model).eval()
