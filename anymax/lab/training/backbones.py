"""What stands before every head: the same network, from inputs to the features that a head scores.

A factory makes the network: `factory(in_features)` maps floats (rows, in_features) to (rows, features), and for text
`factory(num_words)` maps word ids (windows, length) to (windows, length, features). The user may bring one.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import operator
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from anymax._core.sentences import LONGEST_PATH, detail, of_path, quoted, shown
from anymax.lab.data.dataset import Parts, Trained
from anymax.lab.errors import LabError, OptionError
from anymax.lab.measure import Task

HIDDEN = 128
BENT_FEATURES, STRAIGHT_FEATURES = 64, 32
DROPOUT = 0.3
TEXT_FEATURES = 96
TEXT_DROPOUT = 0.2
MOST_LEVEL_FEATURES = 32
PIECES = 16  # of the function of one number, between quantiles of the training part
NUMBER_FEATURES = 4
MOST_NUMBERS = 128  # that are embedded; where there are more, a step would take several times as long
PROBED = 4  # rows or windows on which the width of a network is found

Factory = Callable[[int], nn.Module]


class LevelEmbedding(nn.Module):
    """Plain features from rows whose last columns are level ids: (rows, columns) -> (rows, `out_features`).

    Level 0 of each category, which stands for rare and unknown levels, starts at zero.
    """

    def __init__(self, in_features: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.plain = in_features - len(levels)
        sizes = [min(MOST_LEVEL_FEATURES, round(count**0.5)) for count in levels]
        embeddings = [nn.Embedding(*shape) for shape in zip(levels, sizes, strict=True)]
        for embedding in embeddings:
            nn.init.zeros_(embedding.weight[0].detach())
        self.embeddings = nn.ModuleList(embeddings)
        self.out_features = self.plain + sum(sizes)

    def forward(self, input: Tensor) -> Tensor:
        ids = input[:, self.plain :].long().unbind(1)
        embedded = [embedding(column) for embedding, column in zip(self.embeddings, ids, strict=True)]
        return torch.cat([input[:, : self.plain], *embedded], dim=1)


class NumberEmbedding(nn.Module):
    """Piecewise linear functions of each number: (rows, columns) -> (rows, `out_features`).

    A network over plain numbers learns steps and thresholds late, and trees find them at once; over functions that may
    bend at quantiles of the training part it does too (Gorishniy, Rubachev and Babenko 2022). At the start no function
    bends, and beyond the outermost training values none does, so that a wild value meets no steep piece.

    Args:
        train: (rows, columns), the numbers of the training part.
    """

    starts: Tensor  # (columns, 1, pieces), the quantile at which each piece begins
    slopes: Tensor  # likewise, 1 / width; 0 where two quantiles are the same and there is no piece

    def __init__(self, train: Tensor) -> None:
        super().__init__()
        columns = train.shape[1]
        edges = torch.from_numpy(np.quantile(train.numpy(), np.linspace(0, 1, PIECES + 1), axis=0)).to(train)
        widths = edges.diff(dim=0)
        # copies: of a single column a part of `edges` would be kept, and no file of weights takes a part of a tensor
        self.register_buffer("starts", edges[:-1].T[:, None].clone(memory_format=torch.contiguous_format))
        self.register_buffer("slopes", torch.where(widths > 0, 1 / widths, 0).T[:, None].contiguous())
        self.weight = nn.Parameter(torch.empty(columns, 1, NUMBER_FEATURES))
        self.bias = nn.Parameter(torch.empty(columns, 1, NUMBER_FEATURES))
        self.bends = nn.Parameter(torch.zeros(columns, PIECES, NUMBER_FEATURES))
        for parameter in (self.weight, self.bias):
            nn.init.uniform_(parameter, -(NUMBER_FEATURES**-0.5), NUMBER_FEATURES**-0.5)
        self.out_features = columns * NUMBER_FEATURES

    def forward(self, input: Tensor) -> Tensor:
        values = input.T[:, :, None]  # (columns, rows, 1)
        passed = ((values - self.starts) * self.slopes).clamp(0, 1)  # how much of each piece lies below the value
        return torch.baddbmm(values * self.weight + self.bias, passed, self.bends).transpose(0, 1).flatten(1)


class FeatureBackbone(nn.Module):
    """A perceptron over standardised features, and a linear path: (rows, in_features) -> (rows, `out_features`).

    What is linear goes the straight way, so that dropout may keep the perceptron from learning a few rows by heart.

    Args:
        in_features: how many columns there are.
        numbers: (rows, columns), what the training part holds in the first columns, where these are numbers to be
            embedded before the perceptron.
    """

    out_features = BENT_FEATURES + STRAIGHT_FEATURES

    def __init__(self, in_features: int, numbers: Tensor | None = None) -> None:
        super().__init__()
        self.numbers = 0 if numbers is None else numbers.shape[1]
        self.embed = None if numbers is None else NumberEmbedding(numbers)
        embedded = in_features if self.embed is None else in_features - self.numbers + self.embed.out_features
        self.straight = nn.Linear(in_features, STRAIGHT_FEATURES)
        self.bent = nn.Sequential(
            *(nn.Linear(embedded, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT)),
            *(nn.Linear(HIDDEN, BENT_FEATURES), nn.ReLU(), nn.Dropout(DROPOUT)),
        )

    def forward(self, input: Tensor) -> Tensor:
        embedded = input
        if self.embed is not None:
            embedded = torch.cat([self.embed(input[:, : self.numbers]), input[:, self.numbers :]], dim=1)
        return torch.cat([self.bent(embedded), self.straight(input)], dim=1)


class TextBackbone(nn.Module):
    """An embedding and a causal GRU: word ids (windows, length) -> (windows, length, `out_features`)."""

    out_features = TEXT_FEATURES

    def __init__(self, num_words: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_words, TEXT_FEATURES)
        self.recurrent = nn.GRU(TEXT_FEATURES, TEXT_FEATURES, batch_first=True)
        self.dropout = nn.Dropout(TEXT_DROPOUT)

    def forward(self, input: Tensor) -> Tensor:
        states, _ = self.recurrent(self.dropout(self.embedding(input)))
        return self.dropout(states)


BUILT_IN: dict[Task, Factory] = {
    "classification": FeatureBackbone,
    "multilabel": FeatureBackbone,
    "text": TextBackbone,
}


class Backbone(nn.Module):
    """Categories embedded, where there are any, and the network behind: inputs -> (..., `out_features`).

    `own` is the factory of the network where it is the user's.
    """

    def __init__(
        self, embed: LevelEmbedding | None, network: nn.Module, out_features: int, own: Factory | None
    ) -> None:
        super().__init__()
        self.embed = embed
        self.network = network
        self.out_features = out_features
        self.own = own

    def forward(self, input: Tensor) -> Tensor:
        embedded = self.embed(input) if self.embed else input
        with blamed(self.own, f"on inputs of shape {tuple(embedded.shape)}"):
            return self.network(embedded)


@contextlib.contextmanager
def blamed(own: Factory | None, where: str) -> Iterator[None]:
    """Turn what goes wrong inside into one sentence on the user's backbone; without one it is a mistake of ours.

    Raises:
        OptionError: something went wrong, and `own` is a factory.
    """
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        if own is None:
            raise
        raise OptionError(f"The backbone {_said(own)} failed {where}: {_reason(error)}.") from error


def find(backbone: str | Factory) -> Factory:
    """The factory that "package.module:factory" names, or the one that is given.

    Raises:
        OptionError: the name has another form, or what it names makes no networks.
    """
    factory = _named(backbone) if isinstance(backbone, str) else backbone
    name = _said(backbone)
    if isinstance(factory, nn.Module):
        raise OptionError(
            f"The backbone {name} is one network, and each training needs a new one: expected a function or class "
            "that makes it."
        )
    if not callable(factory):
        raise OptionError(f"The backbone {name} is of type {type(factory).__name__}: expected a function or class.")
    return factory


def name_of(factory: Factory) -> str:
    """How a factory is recognised: "package.module:factory", with what a partial one holds."""
    if isinstance(factory, functools.partial):
        held = [*map(repr, factory.args), *(f"{key}={value!r}" for key, value in factory.keywords.items())]
        return f"{name_of(factory.func)}({', '.join(held)})"
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    return f"{named.__module__}:{named.__qualname__}"


def build(task: Task, parts: Trained, factory: Factory | None = None) -> Backbone:
    """The backbone of one training, its weights drawn from torch's default generator.

    Args:
        task: what the data are.
        parts: the shape of the training part, and its first rows, decide sizes.
        factory: makes the network; None takes the one that suits the data.

    Raises:
        OptionError: the factory fails, or makes no network of the expected shape.
    """
    own, factory = factory, factory or _built_in(task, parts)
    inputs = parts.train.inputs[:PROBED]
    embed = None
    if task == "text":
        size, leading = len(parts.class_counts), inputs.shape
    else:
        size, leading = inputs.shape[1], inputs.shape[:1]
        if parts.embedded_levels:
            embed = LevelEmbedding(size, parts.embedded_levels)
            size = embed.out_features
    network = _make(factory, size)
    with torch.no_grad():
        out_features = _width(network, embed(inputs) if embed else inputs, leading, factory)
    return Backbone(embed, network, out_features, own)


def check(task: Task, parts: Parts, factory: Factory) -> None:
    """Refuse a factory with whose networks a comparison would not be fair or mean nothing.

    Raises:
        OptionError: as `build`; or two networks share what they learn, start differently at the same seed, or look at
            words that are to be predicted.
    """
    name = _said(factory)
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(build(task, parts, factory).network)
    one, other = networks
    ours, theirs = _tensors(one), _tensors(other)
    if one is other or {id(tensor) for tensor in ours} & {id(tensor) for tensor in theirs}:
        raise OptionError(
            f"The backbone {name} shares weights between two calls, so one method would go on where another stopped: "
            "expected a new network from each call."
        )
    same_start = len(ours) == len(theirs) and all(
        torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(ours, theirs, strict=True)
    )
    if not same_start:
        raise OptionError(
            f"The backbone {name} starts differently at the same torch.manual_seed, so methods would not share their "
            "start: expected weights drawn from torch's default generator."
        )
    if task == "text" and _looks_ahead(one, parts.train.inputs[:PROBED], len(parts.class_counts)):
        raise OptionError(
            f"The backbone {name} lets a later word or another window change the features of a position, which would "
            "give away the word to predict: expected one direction and the windows on the first axis (batch_first), "
            "or a causal mask."
        )


def _built_in(task: Task, parts: Trained) -> Factory:
    """The factory that suits the data: numbers are embedded where there are not too many."""
    if not 0 < parts.numbers <= MOST_NUMBERS:
        return BUILT_IN[task]
    numbers = parts.train.inputs[:, : parts.numbers]
    return lambda in_features: FeatureBackbone(in_features, numbers)


def _named(name: str) -> Factory:
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise OptionError(f"A backbone is named package.module:factory, got {of_path(name)}.")
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # the module is the user's: anything may go wrong in it
        raise OptionError(f"The backbone {_said(name)} cannot be imported: {_reason(error)}.") from error
    try:
        return operator.attrgetter(attribute)(found)
    except AttributeError:
        raise OptionError(
            f"The backbone {_said(name)} does not exist: module {quoted(module)} has no {quoted(attribute)}."
        ) from None


def _make(factory: Factory, size: int) -> nn.Module:
    with blamed(factory, f"when called with {size}"):
        network = factory(size)
    if not isinstance(network, nn.Module):
        raise OptionError(
            f"The backbone {_said(factory)} must return a torch.nn.Module, got one of type {type(network).__name__}."
        )
    return network


def _width(network: nn.Module, inputs: Tensor, leading: torch.Size, factory: Factory) -> int:
    """How many features the network gives to each row or position, found on a few of them."""
    network.eval()
    shape = tuple(inputs.shape)
    given = inputs.clone()
    with blamed(factory, f"on inputs of shape {shape}"):
        features = network(given)
    network.train()
    name = _said(factory)
    expected = f"a float32 tensor of shape ({', '.join(map(str, leading))}, features)"
    if not isinstance(features, Tensor):
        raise OptionError(
            f"The backbone {name} must turn inputs of shape {shape} into {expected}, got an object of type "
            f"{type(features).__name__}."
        )
    *before, width = features.shape or (0,)
    if features.dtype != torch.float32 or tuple(before) != tuple(leading) or not width:
        raise OptionError(
            f"The backbone {name} must turn inputs of shape {shape} into {expected}, got one of "
            f"{str(features.dtype).removeprefix('torch.')} and shape {tuple(features.shape)}."
        )
    if not torch.equal(given, inputs):
        raise OptionError(f"The backbone {name} changes its inputs in place: expected it to leave them as they are.")
    said = getattr(network, "out_features", width)
    if isinstance(said, int) and said != width:
        raise OptionError(f"The backbone {name} says out_features = {said} and gives {width} features.")
    return width


def _looks_ahead(network: nn.Module, inputs: Tensor, num_words: int) -> bool:
    """Whether another last word in the first window changes features elsewhere."""
    changed = inputs.clone()
    changed[0, -1] = (changed[0, -1] + 1) % num_words
    network.eval()
    features = []
    for words in (inputs, changed):
        torch.manual_seed(0)  # where a network draws noise in eval mode too, it is the same noise
        with torch.no_grad():
            features.append(network(words))
    differs = ~torch.isclose(*features, rtol=1e-4, atol=1e-6, equal_nan=True)
    differs[0, -1] = False
    return bool(differs.any())


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _said(backbone: str | Factory) -> str:
    """The name of a backbone for a sentence."""
    return shown(backbone if isinstance(backbone, str) else name_of(backbone), LONGEST_PATH)


def _reason(error: BaseException) -> str:
    """What went wrong in code of the user's, in one line without a full stop."""
    return f"{type(error).__name__}: {detail(error)}".rstrip(": ")
