"""The code of the winner: a script that trains it in plain PyTorch, with what the comparison chose."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import jinja2
from torch import nn

from anymax._core.sentences import printable
from anymax.lab.data.columns import MOST_LEVELS
from anymax.lab.data.preparation import FARTHEST
from anymax.lab.data.table import MOST_TERMS, RAREST_LEVEL
from anymax.lab.model.recipe import NotKept, recipe_of
from anymax.lab.options import OF_FILES, OF_TABLES
from anymax.lab.results import Comparison
from anymax.lab.training import backbones
from anymax.lab.training.methods import METHODS, NUM_NOISE

_COUNTED = "width, len(counts), class_counts=counts"
_DRAWN = f"{_COUNTED}, num_noise={NUM_NOISE}"
# How the head of each method is made, as `anymax.lab.training.methods` makes it.
HEADS = {
    "softmax": f"SoftmaxHead({_COUNTED})",
    "gumbel": f"GumbelSoftmaxHead({_COUNTED})",
    "nce": f"NCEHead({_DRAWN})",
    "sampled": f"SampledSoftmaxHead({_DRAWN})",
    "adaptive": f"AdaptiveSoftmaxHead({_COUNTED})",
    "hierarchical": f"HierarchicalSoftmaxHead({_COUNTED})",
    "sigmoid": f"SigmoidHead({_COUNTED})",
    "prior": "SoftmaxHead(width, len(counts), class_prior=frequencies**{strength})",
    "smoothed": f"SoftmaxHead({_COUNTED}, label_smoothing={{strength}})",
    "negative": f"NegativeSamplingHead({_DRAWN})",
    "focal": f"FocalHead({_COUNTED}, alpha=None)",
    "sparsemax": f"SparsemaxHead({_COUNTED})",
    "entmax": f"EntmaxHead({_COUNTED})",
}
# What is minimised where rows have labels.
LABEL_LOSSES = {
    "sigmoid": "head(network(inputs[rows]), labels[rows])",
    "weighted": "binary_cross_entropy_with_logits(\n"
    '            head(network(inputs[rows])), labels[rows], reduction="none", pos_weight=(-log_odds).exp()\n'
    "        ).sum(-1).mean()",
    "focal": "sigmoid_focal_loss(head(network(inputs[rows])), labels[rows], alpha=None).sum(-1).mean()",
    "asymmetric": 'asymmetric_loss(head(network(inputs[rows])), labels[rows], reduction="none").sum(-1).mean()',
}
_IMPORTED = (
    "asymmetric_loss",
    "binary_cross_entropy_with_logits",
    "entmax",
    "noise",
    "sigmoid_focal_loss",
    "sparsemax",
)
_NAME = r"[^\W\d]\w*"


def head_of(method: str, num_classes: int, strength: float | None = None) -> str:
    """The expression that makes the head of a method."""
    if method == "sampled" and num_classes <= NUM_NOISE:
        return f"SampledSoftmaxHead({_COUNTED}, noise=noise.All(len(counts)))"
    return HEADS[method].format(strength=strength)


def code_of(comparison: Comparison) -> str | None:
    """A script that trains the method that was picked; None where there is none to train, and for text.

    Also none where the backbone has a name that no import can have, such as a function within another.
    """
    try:
        recipe = recipe_of(comparison)
    except NotKept:
        return None
    own = None
    if recipe.own_backbone:
        own = re.fullmatch(rf"({_NAME}(?:\.{_NAME})*):({_NAME})", recipe.backbone)
        if own is None:
            return None
    kinds = {column.kind for column in comparison.data.columns}
    has_labels = comparison.data.task == "multilabel"
    if has_labels:
        head = "SigmoidHead(width, len(counts))"
    else:
        head = head_of(recipe.method, comparison.data.num_classes, recipe.strength)
    label_loss = LABEL_LOSSES[recipe.method] if has_labels else None
    # a function of the method's name
    map_ = recipe.method if METHODS[recipe.method].gives_zeros and recipe.temperature is not None else None
    asked = str(comparison.asked.get("data", comparison.data.name))
    is_file = asked not in ("DataFrame", "tuple")
    printed: list[type[nn.Module]] = [backbones.LevelEmbedding] if "category" in kinds else []
    if own is None:
        printed += [backbones.NumberEmbedding, backbones.FeatureBackbone]
    networks = [inspect.getsource(network).rstrip() for network in printed]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("anymax.lab.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("winner.py.jinja").render(
        recipe=recipe,
        name=_in_docstring(comparison.data.name),
        epochs=max(1, round(recipe.epochs)),
        is_file=is_file,
        source=repr(asked) if is_file else "data",
        read_options=_read_options(comparison.asked),
        has_categories="category" in kinds,
        has_texts="text" in kinds,
        most_numbers=None if own else backbones.MOST_NUMBERS,
        head=head,
        has_labels=has_labels,
        label_loss=label_loss,
        map=map_,
        imported=[name for name in _IMPORTED if re.search(rf"\b{name}[.(]", f"{head} {label_loss} {map_}(")],
        is_weighted=recipe.method == "weighted",
        has_prior=recipe.method == "prior",
        head_class=head.partition("(")[0],
        own=own.groups() if own else None,
        backbone=own[2] if own else backbones.FeatureBackbone.__name__,
        networks=networks,
        constants=_constants(networks),
        rarest_level=RAREST_LEVEL,
        most_levels=MOST_LEVELS,
        most_terms=MOST_TERMS,
        farthest=FARTHEST,
    )


def _in_docstring(name: str) -> str:
    """A name of the user's as a comment may show it: on one line, ending nothing."""
    return printable(Path(name).name).replace("\\", "/").replace('"', "'")


def _read_options(asked: dict[str, Any]) -> str:
    """The options with which the table was read, as arguments."""
    given = {name: asked.get(name) for name in (*OF_TABLES, *OF_FILES)}
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value}
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _constants(networks: list[str]) -> list[str]:
    """The numbers of their module that the networks name."""
    named = dict.fromkeys(re.findall(r"\b[A-Z][A-Z_]+\b", "\n".join(networks)))
    return [f"{name} = {getattr(backbones, name)!r}" for name in named if hasattr(backbones, name)]
