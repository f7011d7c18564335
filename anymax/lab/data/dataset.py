"""Training, validation and test part: what a trial sees of the data, whatever the data were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from anymax.lab.measure import Task
from anymax.lab.results import DataInfo

IGNORED = -100  # the target at positions where nothing is to be predicted; every head's `ignore_index`


@dataclass(frozen=True)
class Part:
    """Inputs with their targets: features (rows, columns) with class ids, or with 1 for each label that a row has and
    else 0 (rows, labels); or word ids (windows, length) with the next words."""

    inputs: Tensor
    targets: Tensor

    @property
    def num_items(self) -> int:
        """How many targets there are to predict."""
        return int((self.targets != IGNORED).sum())

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Items:
    """What is to be predicted in a test part, in its order.

    Args:
        row: which row of the data each item is, counted from 0 as they were read; of a text which word of the part.
        cluster: a number for what the item stands or falls with: its row and the duplicates of it, its group, its block
            of a text or of time.
        target: its class id; where it may have several labels (rows, labels), whether it has each.
    """

    row: np.ndarray
    cluster: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Parts:
    """The three parts of one repeat, and what was counted on the first of them alone."""

    train: Part
    validation: Part
    test: Part
    tested: Items  # those of the test part
    class_counts: Tensor  # (num_classes,), items of each class or label in the training part
    # the last columns of the inputs are level ids, each of a category with so many levels, which a model embeds
    embedded_levels: tuple[int, ...] = ()
    numbers: int = 0  # so many of the first columns of the inputs are numbers, and no indicators, levels or terms


@dataclass(frozen=True)
class Whole:
    """All rows as one training part: nothing is left to choose by or to test on."""

    train: Part
    class_counts: Tensor
    embedded_levels: tuple[int, ...] = ()
    numbers: int = 0


class Trained(Protocol):
    """What the network and the head of a model are made for: `Parts`, or `Whole`."""

    @property
    def train(self) -> Part:
        """What is trained on; its first rows decide sizes."""
        ...

    @property
    def class_counts(self) -> Tensor:
        """Items per class in it."""
        ...

    @property
    def embedded_levels(self) -> tuple[int, ...]:
        """As in `Parts`."""
        ...

    @property
    def numbers(self) -> int:
        """As in `Parts`."""
        ...


class Dataset(Protocol):
    """Data that methods can be compared on."""

    @property
    def task(self) -> Task:
        """Rows of features to be classified or given labels, or text whose next word is predicted."""
        ...

    @property
    def measured_ids(self) -> list[int]:
        """The ids of the classes or labels that stand in every part; measures per class are taken over these."""
        ...

    @property
    def unknown_class(self) -> int | None:
        """The class that stands for all words outside of the vocabulary; None where there is no such class."""
        ...

    def parts(self, repeat: int) -> Parts:
        """The parts of one repeat: drawn anew for each where the data can be split anew, always in the same way."""
        ...

    def info(self) -> DataInfo:
        """What was read, and what a reader of the results must know about it; found once."""
        ...
