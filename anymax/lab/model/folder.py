"""The folder of a model that is kept: written whole, and read back without running anything that stands in it.

model.json            what the model is: how it was trained, its classes, how each column is read
weights.safetensors   what it learned
columns.skops         what was fitted on its columns: imputer, scaler, categories, terms
first_rows.npz        the first rows of the data, by their number, with the classes and probabilities it gave them
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import safetensors.torch
from safetensors import SafetensorError
from sklearn.pipeline import Pipeline

from anymax._core.sentences import LONGEST_PATH, of_path, quoted, shown
from anymax.lab.data.preparation import Preparation
from anymax.lab.errors import DataError, Option, OptionError
from anymax.lab.model.kept import Facts, Kept, untrained
from anymax.lab.training import backbones
from anymax.lab.training.methods import METHODS

MODEL = "model"  # the folder's name within that of a comparison
FACTS, WEIGHTS, COLUMNS, FIRST_ROWS = "model.json", "weights.safetensors", "columns.skops", "first_rows.npz"
FORMAT = 1  # raised when an older folder no longer reads as what it was
# All that may stand in the file of what was fitted, whatever the file itself says: plain data, and the classes of
# scikit-learn that `TableDataset.fit_preparation` makes. None of them calls what it is given.
PLAIN = ("dict", "list", "slice", "str", "tuple", "int", "float", "bool", "NoneType")
TRUSTED = frozenset(
    [
        *(f"builtins.{name}" for name in PLAIN),
        *(f"numpy.{name}" for name in ("dtype", "ndarray", "float32", "float64", "int32", "int64", "bool")),
        "anymax.lab.data.preparation.CutOff",
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.feature_extraction.text.TfidfTransformer",
        "sklearn.feature_extraction.text.TfidfVectorizer",
        "sklearn.feature_selection._variance_threshold.VarianceThreshold",
        "sklearn.impute._base.MissingIndicator",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.preprocessing._encoders.OneHotEncoder",
    ]
)
LOADERS = frozenset(
    f"{kind}Node" for kind in ("Cached", "DType", "Dict", "Json", "List", "NdArray", "Object", "Slice", "Tuple", "Type")
)
_NODE = ("__class__", "__module__", "__loader__")  # what skops reads of each object that its files describe


def write(kept: Kept, first_rows: dict[str, np.ndarray], path: Path) -> None:
    """Write a model as a folder, which appears whole or not at all, in the place of an older one.

    Args:
        kept: the model.
        first_rows: what it answered to the first rows.
        path: the folder.
    """
    from skops import io as skops  # takes a second, which is for those alone who keep or read a model

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".anymax-", dir=path.parent) as staging:
        new = Path(staging, MODEL)
        new.mkdir()
        (new / FACTS).write_text(json.dumps({"format": FORMAT, **asdict(kept.facts)}, indent=1), encoding="utf-8")
        safetensors.torch.save_model(kept.model, str(new / WEIGHTS))
        if kept.preparation.columns is not None:
            skops.dump(kept.preparation.columns, new / COLUMNS, compression=zipfile.ZIP_DEFLATED)
        np.savez(new / FIRST_ROWS, **first_rows)  # pyright: ignore[reportArgumentType]: no keyword of its own is used
        if path.exists():
            path.replace(Path(staging, "old"))
        new.replace(path)


def facts_of(path: Path) -> Facts:
    """What the model in a folder is.

    Raises:
        DataError: there is none, it is damaged, or another version wrote it.
    """
    try:
        stored = json.loads((path / FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{of_path(path)} holds no model that was kept: there is no {FACTS} in it.") from None
    except OSError as error:
        raise DataError(f"{of_path(path / FACTS)} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise _damaged(path / FACTS, "it is not JSON") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise DataError(f"{of_path(path)} holds no model in format {FORMAT}, which this version reads.")
    try:
        facts = pydantic.TypeAdapter(Facts).validate_python(stored)
    except pydantic.ValidationError as error:
        place = ".".join(str(key) for key in error.errors()[0]["loc"])
        raise _damaged(path / FACTS, f"{shown(place, LONGEST_PATH)}: {error.errors()[0]['msg']}") from None
    if facts.recipe.method not in METHODS:
        raise _damaged(path / FACTS, f"there is no method {quoted(facts.recipe.method)}")
    if len(facts.class_names) != len(facts.class_counts):
        raise _damaged(path / FACTS, "there are more names than counts of classes, or fewer")
    return facts


def read(path: Path, backbone: str | backbones.Factory | None = None) -> Kept:
    """Read a model; nothing that stands in its folder is run.

    Args:
        path: the folder of the model, or that of the comparison which kept it.
        backbone: the user's own network, named again: no folder may say what is to be imported.

    Raises:
        DataError: there is none, it is damaged, or another version wrote it.
        OptionError: the backbone is missing, or not that of the model.
    """
    path = path / MODEL if not (path / FACTS).exists() and (path / MODEL).is_dir() else path
    facts = facts_of(path)
    if facts.recipe.own_backbone and backbone is None:
        raise OptionError(
            f"The model in {of_path(path)} stands on a backbone of your own, {shown(facts.recipe.backbone)}: name it "
            "with ",
            Option("backbone"),
            ".",
        )
    if backbone is not None and not facts.recipe.own_backbone:
        raise OptionError(
            f"The model in {of_path(path)} stands on the built-in backbone: leave ", Option("backbone"), " out."
        )
    model = untrained(facts, None if backbone is None else backbones.find(backbone))
    try:
        safetensors.torch.load_model(model, str(path / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise _damaged(path / WEIGHTS, shown(error)) from None
    except RuntimeError:  # other names or sizes than those of the model
        if backbone is not None:
            raise OptionError(
                f"The weights in {of_path(path)} are not those of this backbone: name the one that it was trained with."
            ) from None
        raise _damaged(path / WEIGHTS, "the weights are not those of such a model") from None
    preparation = Preparation(_columns(path / COLUMNS), facts.levels)
    if (_inputs(preparation), preparation.numbers) != (facts.inputs, facts.numbers):
        raise _damaged(path / COLUMNS, f"it does not make the {facts.inputs} inputs of the model")
    return Kept(facts, preparation, model)


def _columns(path: Path) -> Pipeline | None:
    """What was fitted on the columns; None where there is no such file, as where every column is embedded."""
    from skops import io as skops

    try:
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            described = list(_described(json.loads(archive.read("schema.json"))))
        held = {f"{node['__module__']}.{node['__class__']}" for node in described}
        foreign = sorted({*(held - TRUSTED), *({node["__loader__"] for node in described} - LOADERS)})
        if foreign:
            raise DataError(
                f"{of_path(path)} holds {shown(foreign[0])}, which no model that anymax keeps holds: it is not read."
            )
        found = skops.loads(content, trusted=sorted(TRUSTED))
    except FileNotFoundError:
        return None
    except DataError:
        raise
    except Exception as error:  # what skops raises depends on which byte is wrong
        raise _damaged(path, shown(error)) from None
    if not isinstance(found, Pipeline):
        raise _damaged(path, "it holds no pipeline")
    return found


def _described(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object that a file of skops describes; a term of a text, which is a key in it, may look like one's key."""
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            if all(isinstance(each.get(key), str) for key in _NODE):
                yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _inputs(preparation: Preparation) -> int:
    """How many inputs it makes."""
    columns = preparation.columns
    plain = [] if columns is None else columns.get_feature_names_out()
    assert plain is not None  # which it is of estimators without names alone
    return len(plain) + len(preparation.levels)


def _damaged(path: Path, why: str) -> DataError:
    return DataError(f"{of_path(path)} is damaged: {why.rstrip('.')}.")
