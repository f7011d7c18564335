"""After the verdict: the method that was picked is trained on all rows and kept, unless that very model is there."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from anymax._core.sentences import of_path
from anymax.lab.data.table import TableDataset
from anymax.lab.errors import DataError, Option, OptionError
from anymax.lab.model import kept
from anymax.lab.model.folder import FACTS, MODEL, facts_of, write
from anymax.lab.model.recipe import NotKept, Recipe, recipe_of
from anymax.lab.results import Comparison
from anymax.lab.training import backbones, machine
from anymax.lab.training.events import Event, FinalTraining, NoModel

FIRST_ROWS = 100  # whose answers are kept, so that anybody can see that a model still gives them


def check(folder: Path) -> None:
    """Refuse, before any training, a folder in which something else stands where the model would.

    Raises:
        OptionError: it has a file or folder of this name that is no model of ours.
    """
    importlib.import_module("skops")  # which the end alone needs: where it is missing, it is missed now
    path = folder / MODEL
    if path.exists() and not (path / FACTS).is_file():
        raise OptionError(
            f"{of_path(path)} is no model that anymax kept: name another folder with ", Option("output"), "."
        )


def found(folder: Path) -> list[Path]:
    """The folder of the model within that of a comparison, where there is one."""
    return [folder / MODEL] if (folder / MODEL / FACTS).is_file() else []


def keep(
    comparison: Comparison,
    dataset: object,
    folder: Path,
    *,
    backbone: backbones.Factory | None,
    of_arrays: bool,
    progress: Callable[[Event], None],
) -> None:
    """Train the method that was picked once more and keep it, or say why not.

    Args:
        comparison: its results.
        dataset: that of the comparison.
        folder: of the comparison.
        backbone: the user's network, where there is one.
        of_arrays: whether the rows came as an array, without names.
        progress: told what happens.
    """
    path = folder / MODEL
    try:
        recipe = recipe_of(comparison)
        if _is_there(path, recipe):
            return
        assert isinstance(dataset, TableDataset)
        progress(FinalTraining(recipe.method, recipe.epochs))
        model = kept.train(
            dataset,
            recipe,
            backbone,
            device=comparison.options["device"],
            of_arrays=of_arrays,
            encoding=comparison.asked.get("encoding"),
        )
    except NotKept as why:
        shutil.rmtree(path, ignore_errors=True)  # one of fewer repeats would pass for this comparison's
        progress(NoModel(str(why)))
        return
    write(model, _first_rows(model, dataset), path)


def _is_there(path: Path, recipe: Recipe) -> bool:
    """Whether the folder holds the model that would be trained."""
    try:
        facts = facts_of(path)
    except DataError:
        return False
    return facts.recipe == recipe and facts.versions == machine.versions()


def _first_rows(model: kept.Kept, dataset: TableDataset) -> dict[str, np.ndarray]:
    rows = np.arange(min(FIRST_ROWS, len(dataset.classes)))
    classes, probabilities = model.answer(dataset.columns_of(rows))
    found = {"row": dataset.row_numbers[rows], "class": classes}
    return found if probabilities is None else {**found, "probabilities": probabilities}
