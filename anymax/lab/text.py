"""Text whose next word is to be told: words, blocks, vocabulary, windows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from anymax.lab.parts import IGNORED, Part, Parts, Task
from anymax.lab.results import DataInfo

UNKNOWN = "<unk>"
WORD = re.compile(r"\w+|[^\w\s]")
WINDOW = 32  # words a prediction may look back on
BLOCKS = 20  # every tenth block is validation, every tenth test: all parts see all of the text's subjects
VALIDATION_BLOCK, TEST_BLOCK = 3, 8
RAREST_WORD = 2  # words seen once in training become <unk>, so that <unk> itself is learnt


def words_of(lines: Iterable[str]) -> list[str]:
    """The words and signs of `lines`, each line taken once: repeated text would stand in two parts."""
    kept = dict.fromkeys(line.strip() for line in lines)
    return [word for line in kept for word in WORD.findall(line)]


@dataclass
class TextDataset:
    """A sequence of words cut into contiguous blocks; the cut is the same in every repeat."""

    name: str
    words: Sequence[str]
    notes: list[str] = field(default_factory=list)

    @property
    def task(self) -> Task:
        """Text whose next word is to be told."""
        return "text"

    @property
    def measured_classes(self) -> list[int]:
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
        kept = [word for word, count in counts.most_common() if count >= RAREST_WORD]
        return {word: i for i, word in enumerate([UNKNOWN, *kept])}

    @cached_property
    def _parts(self) -> Parts:
        train, validation, test = self.blocks
        counts = torch.bincount(torch.cat([self._ids(block) for block in train]), minlength=len(self.vocabulary))
        return Parts(self._part(train), self._part(validation), self._part(test), counts)

    def parts(self, repeat: int) -> Parts:
        """The parts, the same in every repeat: one text cannot be split anew."""
        del repeat
        return self._parts

    def info(self) -> DataInfo:
        """What was read, and what a reader of the results must know about it."""
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
                f"The {len(self.vocabulary) - 1} words seen at least {RAREST_WORD} times in the training part are "
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
            for words, next_words in zip(ids[:-1].split(WINDOW), ids[1:].split(WINDOW), strict=True):
                short = WINDOW - len(words)
                inputs.append(torch.nn.functional.pad(words, (0, short)))
                targets.append(torch.nn.functional.pad(next_words, (0, short), value=IGNORED))
        return Part(torch.stack(inputs), torch.stack(targets))
