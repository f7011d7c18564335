"""The main job as one function: data in, a comparison with its verdict out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from anymax.lab import options, storage
from anymax.lab.data.dataset import Dataset
from anymax.lab.data.load import load
from anymax.lab.data.predictions import Predictions, read_predictions
from anymax.lab.data.table import TableDataset
from anymax.lab.errors import DataError, Option
from anymax.lab.model import keep
from anymax.lab.options import Precision, ReadOptions, TrainOptions
from anymax.lab.report import page
from anymax.lab.results import Comparison
from anymax.lab.training import backbones
from anymax.lab.training.events import Event, FoundFinished
from anymax.lab.training.folder import PREDICTIONS, REPORT, RESULTS, Folder
from anymax.lab.training.keeper import Memory
from anymax.lab.training.machine import is_first_process
from anymax.lab.training.run import run
from anymax.lab.training.stopping import Stopping

WRITERS: dict[str, Callable[[Comparison, Path], None]] = {
    RESULTS: storage.save,
    REPORT: page.write,
    PREDICTIONS: storage.save_predictions,
}


def compare(
    data: str | Path | pd.DataFrame | tuple[Any, Any],
    *,
    target: str | Sequence[str] | None = None,
    target_separator: str | None = None,
    group: str | None = None,
    time: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    encoding: str | None = None,
    vocab_size: int | None = None,
    min_count: int | None = None,
    context: int | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
    within: float | None = None,
    margin: float = options.MARGIN,
    epochs: int | None = None,
    budget: float | None = None,
    lr: float | None = None,
    decide_by: str | None = None,
    device: str = TrainOptions.device,
    precision: Precision = TrainOptions.precision,
    backbone: str | backbones.Factory | None = None,
    baseline: str | Path | pd.DataFrame | None = None,
    output: str | Path | None = None,
    keep_model: bool = True,
    progress: Callable[[Event], None] | None = None,
) -> Comparison:
    """Train every output head on the same features and say which to take, and why.

    Args:
        data: the name of a built-in data set, the path of a file or of a folder of texts, a DataFrame, or (X, y).
        target: the column that holds the classes. Several columns, of yes and no, are labels of which a row may have
            any number; so are the lists of one column.
        target_separator: what stands between the labels in a cell of the target, such as ";", where they are one text.
        group: the column whose equal values stay in one part.
        time: the column by which the latest rows are tested.
        drop: columns to leave out.
        kinds: column -> "number", "category", "date" or "text", where it is to be read as that.
        missing: cells that mean that nothing is there, beside empty ones.
        encoding: of a file of text, such as "cp1252"; None recognises UTF-8 and UTF-16, and says what it takes else.
        vocab_size: of a text, the most words that are classes of their own.
        min_count: of a text, how often a word must occur in the training part to be one of them.
        context: of a text, how many words a prediction may look back on.
        methods: names from `anymax.lab.training.methods.METHODS`; None takes all that fit the data.
        seeds: how many repeats; None takes as many as decide, up to 40 within the time, or 3 of a text.
        within: the seconds for all repeats, of which the first five are always made (three of a text); None takes 180
            for a table where `seeds` is not given.
        margin: how large a difference may be without mattering: in points of a share (0.01 is one of a hundred), as a
            share of a perplexity, a log-likelihood or a Brier score.
        epochs: the most epochs one training may take.
        budget: the seconds in training steps that each training takes, instead of epochs.
        lr: the one learning rate; None chooses among three, per method. A method with a strength (`prior`, `smoothed`)
            chooses that too, in the same repeats.
        decide_by: the measure that decides; None takes the one that suits the data.
        device: "auto", "cpu", "cuda" or another accelerator name that Lightning Fabric knows.
        precision: of the training steps.
        backbone: makes the network before every head, and is called for each training: "package.module:factory" or the
            factory itself. `factory(in_features)` gives a module from floats (rows, in_features) to (rows, features),
            for text `factory(num_words)` one from word ids (windows, length) to (windows, length, features). None takes
            a multilayer perceptron, or an embedding and a GRU. A rerun knows it by its name alone.
        baseline: predictions that you have already, to stand beside the heads: a file or frame with the columns "row",
            counted from 0 as in the data, and "prediction", or one for each class with its probability, or all of
            these. That they are out of sample is your word. Of a table.
        output: the folder for `results.json`, `report.html` and `predictions.csv`, in which an interrupted run goes on,
            and a finished one where more `seeds` or time are given; None writes nothing.
        keep_model: of a table, whether the method that was picked is trained once more on all rows and kept in the
            folder, for `anymax.lab.load`.
        progress: called with each event of `anymax.lab.training.events` as it happens.

    Returns:
        The comparison, with its verdict; `comparison.trials_frame()` and its like give pandas frames.

    Raises:
        anymax.lab.errors.LabError: data, options or folder that cannot be used; the message is one sentence.

    Example:
        >>> comparison = compare("wine", methods=["softmax", "sigmoid"], seeds=3, epochs=2)
        >>> comparison.verdict.pick
        'softmax'
    """
    read = ReadOptions(
        target=target if isinstance(target, str | None) else tuple(target),
        target_separator=target_separator,
        group=group,
        time=time,
        drop=tuple(drop),
        kinds=dict(kinds or {}),
        missing=tuple(missing),
        encoding=encoding,
        vocab_size=vocab_size,
        min_count=min_count,
        context=context,
    )
    train = TrainOptions(
        methods=None if methods is None else tuple(methods),
        repeats=seeds,
        within=within,
        margin=margin,
        epochs=epochs,
        budget=budget,
        learning_rate=lr,
        decide_by=decide_by,
        device=device,
        precision=precision,
    )
    factory = None if backbone is None else backbones.find(backbone)
    dataset = load(data, read)
    predictions = None if baseline is None else _predictions(baseline, dataset)
    asked: dict[str, Any] = {
        "data": _said(data),
        **options.asked(read),
        **options.asked(train),
        "baseline": None if baseline is None else _said(baseline),
        "backbone": backbone if isinstance(backbone, str | None) else backbones.name_of(backbone),
    }
    folder = None if output is None else Path(output)
    if folder is None or not is_first_process():
        place = nullcontext(Memory())
    else:
        place = Folder(folder, asked, dataset.info().fingerprint)
    model_home = folder if keep_model and is_first_process() else None
    tell = progress or (lambda event: None)
    with place as keeper:
        if model_home is not None:
            keep.check(model_home)
        # the first process writes results at the end alone, so that all agree here on whether there are any
        found = None if folder is None else _finished(folder, train, predictions)
        if folder is not None and found is not None:
            comparison = found
            tell(FoundFinished(folder))
        else:
            comparison = run(
                dataset, train, backbone=factory, predictions=predictions, keeper=keeper, progress=progress
            )
            comparison.asked = asked
            keeper.finish(comparison, WRITERS)
        if model_home is not None:
            of_arrays = isinstance(data, tuple) or Path(str(data)).suffix.lower() == ".npz"
            keep.keep(comparison, dataset, model_home, backbone=factory, of_arrays=of_arrays, progress=tell)
    return comparison


def _said(source: object) -> str:
    """How data are named where they were asked for."""
    return str(source) if isinstance(source, str | Path) else type(source).__name__


def _predictions(baseline: str | Path | pd.DataFrame, dataset: Dataset) -> Predictions:
    if not isinstance(dataset, TableDataset):
        raise DataError(Option("baseline"), " does not fit a text: leave it out.")
    if dataset.task == "multilabel":
        raise DataError(Option("baseline"), " holds a class for each row, and rows have labels here: leave it out.")
    return read_predictions(baseline, dataset.row_numbers, dataset.class_names)


def _finished(folder: Path, asked: TrainOptions, predictions: Predictions | None) -> Comparison | None:
    """The results of a finished run that has all the repeats and the baseline that are asked for."""
    if not (folder / RESULTS).exists():
        return None
    found = storage.load(folder / RESULTS)
    if predictions is not None and found.options.get("baseline") != predictions.fingerprint:
        return None
    return found if _is_enough(found, asked) else None


def _is_enough(found: Comparison, asked: TrainOptions) -> bool:
    """Whether a finished run has all the repeats that are asked for."""
    ending = Stopping(found.data.task, asked.repeats, asked.within).ending(
        found.repeats,
        spent=found.total_seconds,
        each=found.repeat_seconds,
        decided=found.verdict is not None and found.verdict.decided,
    )
    return ending is not None
