"""Text whose next word is predicted: words, blocks, vocabulary, windows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from anymax._core.sentences import of_path, printable
from anymax.lab.data import splits
from anymax.lab.data.dataset import IGNORED, Items, Part, Parts
from anymax.lab.data.decoding import decode, read_bytes
from anymax.lab.errors import DataError, Option
from anymax.lab.measure import Task
from anymax.lab.options import ReadOptions
from anymax.lab.results import DataInfo

UNKNOWN = "<unk>"
WORD = re.compile(r"\w+|[^\w\s]")
WINDOW = 32  # words a prediction may look back on
BLOCKS = 20  # every tenth block is validation, every tenth test: all parts see all of the text's subjects
VALIDATION_BLOCK, TEST_BLOCK = 3, 8
FEWEST_WORDS = 200  # ten in each block
RAREST_WORD = 2  # words seen once in training become <unk>, so that <unk> itself is learnt


def words_of(lines: Iterable[str]) -> list[str]:
    """The words and punctuation marks of `lines`, each line taken once: repeated text would stand in two parts."""
    kept = dict.fromkeys(line.strip() for line in lines)
    return [word for line in kept for word in WORD.findall(line)]


@dataclass
class TextDataset:
    """A sequence of words cut into contiguous blocks; the cut is the same in every repeat."""

    name: str
    words: Sequence[str]
    notes: list[str] = field(default_factory=list)
    vocab_size: int | None = None
    min_count: int = RAREST_WORD
    context: int = WINDOW

    @property
    def task(self) -> Task:
        """Text whose next word is predicted."""
        return "text"

    @property
    def measured_ids(self) -> list[int]:
        """Every word of the vocabulary."""
        return list(range(len(self.vocabulary)))

    @property
    def unknown_class(self) -> int:
        """The id of `<unk>`."""
        return 0

    @cached_property
    def blocks(self) -> tuple[list[Sequence[str]], list[Sequence[str]], list[Sequence[str]]]:
        """The blocks of the training, validation and test part."""
        cuts = [len(self.words) * i // BLOCKS for i in range(BLOCKS + 1)]
        parts: tuple[list[Sequence[str]], list[Sequence[str]], list[Sequence[str]]] = ([], [], [])
        for i in range(BLOCKS):
            place = {VALIDATION_BLOCK: 1, TEST_BLOCK: 2}.get(i % 10, 0)
            parts[place].append(self.words[cuts[i] : cuts[i + 1]])
        return parts

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Word to class id, most frequent first after `<unk>`; of the training part alone."""
        counts = Counter(word for block in self.blocks[0] for word in block)
        kept = [word for word, count in counts.most_common() if count >= self.min_count][: self.vocab_size]
        return {word: i for i, word in enumerate([UNKNOWN, *kept])}

    @cached_property
    def _parts(self) -> Parts:
        train, validation, test = self.blocks
        counts = torch.bincount(torch.cat([self._ids(block) for block in train]), minlength=len(self.vocabulary))
        tested = self._part(test)
        targets = tested.targets[tested.targets != IGNORED].numpy()
        items = Items(np.arange(len(targets)), splits.in_blocks(len(targets)), targets)
        return Parts(self._part(train), self._part(validation), tested, items, counts)

    def parts(self, repeat: int) -> Parts:
        """The parts, the same in every repeat: one text cannot be split anew."""
        del repeat
        return self._parts

    def info(self) -> DataInfo:
        """What was read, and what a reader of the results must know about it."""
        return self._info

    @cached_property
    def _info(self) -> DataInfo:
        parts = self._parts
        ids = torch.cat([self._ids(block) for blocks in self.blocks for block in blocks])
        test_targets = parts.test.targets[parts.test.targets != IGNORED]
        unknown = float((test_targets == 0).double().mean())
        return DataInfo(
            name=self.name,
            task=self.task,
            train_items=parts.train.num_items,
            validation_items=parts.validation.num_items,
            test_items=parts.test.num_items,
            num_classes=len(self.vocabulary),
            class_names=list(self.vocabulary),
            class_counts=torch.bincount(ids, minlength=len(self.vocabulary)).tolist(),
            columns=[],
            notes=[
                *self.notes,
                f"The {len(self.vocabulary) - 1} {'most frequent ' if self.vocab_size else ''}words seen at least "
                f"{self.min_count} {'time' if self.min_count == 1 else 'times'} in the training part are "
                f"the vocabulary; {100 * unknown:.1f} % of the test words are outside it and count as {UNKNOWN}.",
            ],
            splits_redrawn=False,
            measured_classes=len(self.vocabulary),
            fingerprint=hashlib.sha256("\0".join(self.words).encode()).hexdigest(),
        )

    def _ids(self, block: Sequence[str]) -> Tensor:
        return torch.tensor([self.vocabulary.get(word, 0) for word in block], dtype=torch.int64)

    def _part(self, blocks: list[Sequence[str]]) -> Part:
        """Windows in the order of the text; none crosses a cut."""
        inputs: list[Tensor] = []
        targets: list[Tensor] = []
        for block in blocks:
            ids = self._ids(block)
            short = -(len(ids) - 1) % self.context
            inputs.append(torch.nn.functional.pad(ids[:-1], (0, short)).view(-1, self.context))
            padded = torch.nn.functional.pad(ids[1:], (0, short), value=IGNORED)
            targets.append(padded.view(-1, self.context))
        return Part(torch.cat(inputs), torch.cat(targets))


def read_text(path: Path, options: ReadOptions) -> TextDataset:
    """Read a .txt file, or all .txt files of a folder in the order of their names.

    Raises:
        DataError: a file is not text, or there is too little of it.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    lines: list[str] = []
    notes: list[str] = []
    for file in files:
        decoded = decode(read_bytes(file), file, "write it as plain text", options.encoding)
        notes += decoded.notes
        lines.extend(decoded.text.splitlines())
    return of_lines(printable(path.resolve().name), lines, notes, options)


def of_lines(name: str, lines: Iterable[str], notes: Sequence[str], options: ReadOptions) -> TextDataset:
    """The words of `lines`, each line taken once.

    Raises:
        DataError: there is too little text.
    """
    words = words_of(lines)
    if len(words) < FEWEST_WORDS:
        raise DataError(f"{of_path(name)} holds {len(words)} words in distinct lines: expected {FEWEST_WORDS} or more.")
    all_notes = [*notes, "Repeated lines are left out."]
    dataset = TextDataset(
        name,
        words,
        all_notes,
        options.vocab_size,
        options.min_count or RAREST_WORD,
        options.context or WINDOW,
    )
    if len(dataset.vocabulary) < 3:
        raise DataError(
            f"Fewer than two words occur {dataset.min_count} times in the training part of {of_path(name)}: expected "
            "more text, a smaller ",
            Option("min_count"),
            " or a larger ",
            Option("vocab_size"),
            ".",
        )
    return dataset
