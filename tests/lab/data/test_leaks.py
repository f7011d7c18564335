"""A column that is the answer in other words is named; a strong but honest one is not."""

import time

import numpy as np
import pandas as pd
import pytest

from anymax.lab.data import leaks

NO_TEXT = pd.DataFrame(index=range(1500))


def planted(rows=1500, rarest=0.5):
    generator = np.random.default_rng(0)
    classes = (generator.random(rows) < rarest).astype(np.int64)
    columns = pd.DataFrame(
        {
            "strong": generator.normal(size=rows) + 3 * classes,  # right for 93 % of balanced rows at best
            "noise": generator.normal(size=rows),
            "colour": np.where(generator.random(rows) < 0.9, classes, 1 - classes).astype(str),
            "leaking number": classes * 10 + generator.normal(size=rows),
            "leaking level": [f"{c}-{i}" for c, i in zip(classes, generator.integers(0, 50, size=rows), strict=True)],
        }
    )
    return columns, classes


def sentences(generator, classes, tell, words=12):
    """Words of chance in each row, and among them what `tell` says of its class."""
    drawn = generator.zipf(1.3, size=(len(classes), words)) % 5000
    return pd.Series(
        [
            " ".join([*(f"w{i}" for i in row[:6]), tell(label), *(f"w{i}" for i in row[6:])])
            for row, label in zip(drawn, classes, strict=True)
        ]
    )


@pytest.mark.parametrize("rarest", [0.5, 0.05])
def test_leaking_columns_are_named_and_strong_ones_are_not(rarest):
    found = dict(leaks.leaking(*planted(rarest=rarest)))
    assert "leaking number" in found
    assert not set(found) & {"strong", "noise", "colour"}
    if rarest == 0.5:
        assert "leaking level" in found
        assert found["leaking number"] > 0.99


def test_the_sentence_says_what_to_do():
    columns, classes = planted()
    (number, level) = leaks.notes(columns, NO_TEXT, classes)
    assert number.startswith("Column 'leaking number' alone predicts the class of ")
    assert "--drop" in level


@pytest.mark.parametrize(
    ("num_classes", "tell", "words"),
    [
        (2, lambda label: "Refunded." if label else "", {"refunded"}),
        (2, lambda label: f"marked {'good' if label else 'not good'}", {"not"}),
        (5, lambda label: f"sent to desk{label}", {f"desk{label}" for label in range(5)}),
    ],
    ids=["a word", "a negation", "a word per class"],
)
def test_words_that_tell_the_class_are_named(num_classes, tell, words):
    generator = np.random.default_rng(0)
    classes = generator.integers(0, num_classes, size=1500)
    texts = pd.DataFrame({"plain": sentences(generator, classes, str), "comment": sentences(generator, classes, tell)})
    texts["plain"] = texts["plain"].sample(frac=1, random_state=0).to_numpy()
    ((name, accuracy, named),) = leaks.leaking_texts(texts, classes)
    assert name == "comment"
    assert accuracy > 0.999
    assert set(named) <= words
    assert len(named) == num_classes - 1


def test_text_that_is_about_the_class_is_no_leak():
    """Each row holds four of its class's twenty words: all together tell nearly every row, no single one does."""
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 2, size=1500)
    texts = pd.DataFrame(
        {
            "review": sentences(
                generator, classes, lambda label: " ".join(f"c{label}x{i}" for i in generator.integers(0, 20, size=4))
            ),
            # right in 95 % of the rows
            "hint": sentences(
                generator, classes, lambda label: "yes" if generator.random() < 0.05 + 0.9 * label else "no"
            ),
        }
    )
    assert leaks.leaking_texts(texts, classes) == []


def test_a_text_without_a_word_is_no_leak():
    classes = np.arange(1500) % 2
    assert leaks.leaking_texts(pd.DataFrame({"marks": ["?", "..."] * 750}), classes) == []


def test_a_text_that_only_one_class_has_is_named_once():
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 2, size=1500)
    texts = pd.DataFrame({"plain": sentences(generator, classes, lambda label: "")})
    texts["reason"] = texts["plain"].where(classes == 1, "")
    (note,) = leaks.notes(NO_TEXT, texts, classes)
    assert note.startswith(
        "Column 'reason' alone predicts the class of 100.0% of the rows it was not fitted on: if it is"
    )
    texts["reason"] = (texts["reason"] + " closed").where(classes == 1, "")
    assert leaks.notes(NO_TEXT, texts, classes) == [note]


def test_the_sentence_names_the_words():
    generator = np.random.default_rng(0)
    for num_classes, said in ((2, " by the word 'desk"), (9, " and 3 more: if it is known only after")):
        classes = generator.integers(0, num_classes, size=1500)
        texts = pd.DataFrame({"comment": sentences(generator, classes, lambda label: f"desk{label}")})
        (note,) = leaks.notes(NO_TEXT, texts, classes)
        assert note.startswith(
            "Column 'comment' alone predicts the class of 100.0% of the rows it was not fitted on by "
        )
        assert said in note


def test_a_hundred_thousand_texts_in_many_classes_are_looked_at_quickly():
    generator = np.random.default_rng(0)
    rows = 100_000
    classes = generator.integers(0, 100, size=rows)
    texts = pd.DataFrame({"comment": sentences(generator, classes, lambda label: f"desk{label}", words=20)})
    began = time.process_time()
    ((_, accuracy, _),) = leaks.leaking_texts(texts, classes)
    assert time.process_time() - began < 2
    assert accuracy > 0.98
