"""Options: each has one name and one default wherever it is given, and errors say it as the caller writes it."""

import inspect
import json

import pytest

from anymax.lab import compare
from anymax.lab.errors import DataError, LabError, Option, OptionError
from anymax.lab.options import OF_FILES, OF_TABLES, OF_TEXTS, ReadOptions, TrainOptions, asked

ARGUMENTS = inspect.signature(compare).parameters
# handled by `compare` itself
OTHERS = {"data", "baseline", "backbone", "output", "keep_model", "progress"}


def test_every_argument_of_compare_is_an_option_with_its_default():
    defaults = asked(ReadOptions()) | asked(TrainOptions())
    assert defaults.keys() == ARGUMENTS.keys() - OTHERS
    for name, default in defaults.items():
        expected = ARGUMENTS[name].default
        assert default == (list(expected) if expected == () else expected or default), name


def test_what_was_asked_survives_json():
    options = ReadOptions(target="y", drop=("a", "b"), kinds={"zip": "category"}, context=8)
    assert json.loads(json.dumps(asked(options))) == asked(options)
    assert asked(TrainOptions(repeats=3, learning_rate=0.01)) == asked(TrainOptions()) | {"seeds": 3, "lr": 0.01}


def test_an_option_of_a_data_set_belongs_to_tables_to_texts_or_to_files():
    assert sorted([*OF_TABLES, *OF_TEXTS, *OF_FILES]) == sorted(asked(ReadOptions()))
    assert ReadOptions().given((*OF_TABLES, *OF_TEXTS, *OF_FILES)) is None
    assert ReadOptions(kinds={"zip": "text"}).given(OF_TABLES) == "kinds"
    assert ReadOptions(context=1).given(OF_TEXTS) == "context"
    assert ReadOptions(context=1).given(OF_TABLES) is None


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"group": "a", "time": "b"}, DataError, "group= and time= both say which rows are tested: give one of them."),
        ({"seeds": 0}, OptionError, "The number of repeats must be 1 or more, got 0."),
        ({"budget": 9.0, "epochs": 2}, OptionError, "A budget and a number of epochs exclude each other"),
        ({"drop": ["no"]}, DataError, "There is no column 'no' to be used by drop=: the columns are"),
        ({"kinds": {"alcohol": "wet"}}, DataError, "kinds={'alcohol': 'wet'} names no kind"),
    ],
)
def test_a_caller_of_the_function_reads_its_arguments(options, error, said):
    with pytest.raises(error) as caught:
        compare("wine", **options)
    assert said in str(caught.value)
    assert "--" not in str(caught.value)


def test_a_message_is_said_in_the_words_of_who_asked():
    error = LabError("take ", Option("lr", "a\x1b"), " or ", Option("seeds"), ".")
    assert str(error) == "take lr='a\\x1b' or seeds=."
    assert error.told(lambda option: f"<{option.name}>") == "take <lr> or <seeds>."
    assert str(LabError("a plain one.")) == "a plain one."
