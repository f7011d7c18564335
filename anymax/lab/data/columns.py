"""What a column of a table holds: numbers, categories, dates, free text, or nothing to learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from anymax._core.sentences import count_rows, of_path, quoted
from anymax.lab.data import dates, hints, numbers, readings
from anymax.lab.data.hints import Hint
from anymax.lab.data.numbers import PLAIN
from anymax.lab.data.readings import Reading, Values
from anymax.lab.errors import DataError
from anymax.lab.results import ColumnInfo

KINDS = ("number", "category", "date", "text")
MOST_LEVELS = 64  # one-hot columns per category; where more are frequent, levels are embedded
SMALLEST_COUNTER = 6  # rows below which whole numbers in a row may be chance
LONGEST_NAME = 10_000  # characters of a column's name or a class; what is longer is no name
FEW_MISFITS = 0.1  # of the cells, up to which they are told from a column of another kind
FEW_UNITS = 5  # up to which letters behind numbers are units, and not parts of codes

LISTS = (list, tuple, set, np.ndarray)  # of several values in a cell, as Parquet files and JSON lines hold them

ASKED = "read so because you asked for it"

# free text
LOOKED_AT = 1000  # cells
FREE_TEXT_WORDS = 4  # mean words per cell from which text whose words come again is read word by word
SHARED = 3  # cells in which a word must stand to be shared,
NOT_IN_ALL = 0.9  # the share of cells beyond which it tells them apart no longer,
WITH_SHARED = 0.5  # and the share of cells that must hold such a word


@dataclass(frozen=True)
class Column:
    """One feature column as it was read, how to read it again, and what must be said about it."""

    info: ColumnInfo
    reading: Reading
    read: Values
    notes: tuple[str, ...] = ()
    hints: tuple[Hint, ...] = ()  # what is said once for all columns of which it is true

    @property
    def values(self) -> pd.Series | pd.DataFrame | None:
        """Numbers, level names, text, or for a date the numbers that it gives; None where the column was dropped."""
        return self.read.values


def check_names(table: str, names: Sequence[str]) -> None:
    """Refuse two columns of one name, and names that are none.

    Raises:
        DataError: with the name.
    """
    for name in names:
        if len(name) > LONGEST_NAME:
            raise too_long(table, name)
        if "\0" in name:
            raise DataError(f"Column {quoted(name)} of {of_path(table)} has a null character in its name: rename it.")
    for name, occurrences in Counter(names).items():
        if name and occurrences > 1:
            raise DataError(
                f"{of_path(table)} has {occurrences} columns named {quoted(name)}: rename all but one of them."
            )


def too_long(table: str, name: str) -> DataError:
    """Why text that long is no name of a column."""
    return DataError(
        f"{of_path(table)} has a column whose name is longer than {LONGEST_NAME} characters ({quoted(name)}): "
        "shorten it, or close a quote that is left open."
    )


def read_column(name: str, cells: pd.Series, decimal_comma: bool = False, kind: str | None = None) -> Column:
    """Decide what one feature column holds: numbers, categories, dates, text, or nothing to learn from.

    Args:
        name: what the column is called.
        cells: its cells, missing ones NA.
        decimal_comma: whether a comma is rather the decimal sign, where the cells of the column do not say it.
        kind: one of `KINDS` that the user asked for, whatever the cells look like.

    Raises:
        DataError: the column has no value, an infinite one, or does not fit the kind that was asked for.
    """
    cells = readings.plain(cells)
    if not cells.notna().any():
        raise DataError(f"Feature column {quoted(name)} has no value at all: take it out of the file.")
    return _Reader(name, cells, decimal_comma).read(kind)


class _Reader:
    """One column, while it is found out what it holds."""

    def __init__(self, name: str, cells: pd.Series, decimal_comma: bool) -> None:
        self.name = name
        self.cells = cells
        self.decimal_comma = decimal_comma
        self.is_present = cells.notna().to_numpy(dtype=bool)
        self.present = int(self.is_present.sum())
        self.missing = len(cells) - self.present
        self.different = int(cells.nunique())
        self.every = f"every {'non-empty ' if self.missing else ''}cell is"

    def read(self, kind: str | None) -> Column:
        if self.different == 1 and not self.missing:
            return self._dropped(f"holds {quoted(self.cells[0])} in every row", Hint("constant", self.name))
        if kind is not None:
            return self._as_asked(kind)
        form, values, notes = self._numbers()
        if values is not None and not self._misfits(values).any():
            return self._as_number(form, values, tuple(notes))
        found = dates.propose(self.cells)
        if found.form is not None:
            return self._as_date(found)
        if found.ambiguous:
            notes.append(f"Column {quoted(self.name)} is not read as dates: {found.ambiguous}.")
        return self._as_words(values, found, notes)

    # ------------------------------------------------------------ numbers

    def _numbers(self) -> tuple[numbers.NumberFormat, pd.Series | None, list[str]]:
        """The format of the column's numbers, the cells in it, and what must be said; no cells where few are any."""
        if pd.api.types.is_datetime64_any_dtype(self.cells):
            return PLAIN, None, []
        if pd.api.types.is_numeric_dtype(self.cells):
            return PLAIN, numbers.parse(self.cells, PLAIN), []
        proposal = numbers.propose(self.cells, self.decimal_comma)
        if proposal is None:
            return PLAIN, None, []
        if proposal.in_several_units:
            few = len(proposal.units) <= FEW_UNITS
            return PLAIN, None, [proposal.units_note(self.name)] if few else []
        notes = [] if self._misfits(proposal.values).any() else proposal.notes(self.name)
        return proposal.form, proposal.values, notes

    def _misfits(self, values: pd.Series) -> np.ndarray:
        """The cells that are no numbers."""
        return self.is_present & values.isna().to_numpy()

    def _as_number(
        self, form: numbers.NumberFormat, values: pd.Series, notes: tuple[str, ...], asked: bool = False
    ) -> Column:
        reading, read = Reading(self.name, "number", number=form), readings.of_numbers(values, self.is_present)
        if read.unfit.any():
            row = int(np.flatnonzero(read.unfit)[0])
            raise DataError(
                f"Feature column {quoted(self.name)} holds an infinite number ({quoted(self.cells[row])}, row "
                f"{row + 1}): replace it by a finite one or make the cell empty."
            )
        if asked:
            return self._column(reading, read, f"{ASKED}{_in_brackets(form)}", notes)
        if form == PLAIN and hints.are_days(values) and (found := dates.propose(self.cells)).form == dates.DIGITS:
            return self._as_date(found)
        if form == PLAIN and not self.missing and _counts_rows(values):
            why = "counts the rows: whole numbers without a gap, each once"
            return self._dropped(why, Hint("counter", self.name))
        if form == PLAIN and (zero := hints.leading_zero(self.cells, values)) is not None:
            return self._as_code(reading, read, zero)
        what = str(form) if form.is_clock else f"a number{_in_brackets(form)}"
        return self._column(reading, read, f"{self.every} {what}", notes, hints.of_numbers(self.name, values))

    def _as_code(self, reading: Reading, read: Values, example: str) -> Column:
        """Whole numbers some of which begin with a zero, as nobody writes a quantity."""
        if self.different > self.present / 2:
            note = (
                f"Column {quoted(self.name)} is read as numbers, and some begin with a zero ({quoted(example)}): if "
                f"they are codes, --as {quoted(self.name + '=category')}."
            )
            return self._column(reading, read, f"{self.every} a number, some begin with a zero", (note,))
        note = (
            f"Column {quoted(self.name)} is read as a category, since some of its numbers begin with a zero "
            f"({quoted(example)}): if they are quantities, --as {quoted(self.name + '=number')}."
        )
        return self._as_category(f"codes: numbers of which some begin with a zero ({quoted(example)})", (note,))

    # ------------------------------------------------------------ dates

    def _as_date(self, found: dates.Dates, why: str | None = None) -> Column:
        reading = Reading(self.name, "date", date=found.form)
        why = why or f"{self.every} a date"
        if found.decided_by is not None:
            first = "day" if str(found.form).startswith("%d") else "month"
            why += f", the {first} first as {quoted(found.decided_by)} shows"
        why += ": year, month, day of week and age in days"
        assert found.values is not None
        return self._column(reading, readings.of_dates(self.name, found.values, self.is_present), why)

    # ------------------------------------------------------------ words

    def _as_words(self, values: pd.Series | None, found: dates.Dates, notes: list[str]) -> Column:
        present = pd.Series(self.cells[self.cells.notna()])
        if _is_free_text(present, self.different):
            why = f"free text: {self.different} different cells, read word by word"
            return self._column(Reading(self.name, "text"), self._read("text"), why, tuple(notes))
        if self.different == self.present:
            why = "holds text that is different in every row"
            return self._dropped(why, Hint("identifier", self.name), tuple(notes))
        not_numbers = self._misfits(_plain_numbers(self.cells) if values is None else values)
        misfits = int(not_numbers.sum())
        example = quoted(self.cells[int(np.flatnonzero(not_numbers)[0])])
        which = "some of them" if misfits < self.present else "which are"
        if misfits <= FEW_MISFITS * self.present:
            notes.append(self._misfits_note(misfits, "number", example))
        elif found.misfit is not None:
            notes.append(self._misfits_note(found.misfits, "date", quoted(found.misfit)))
        return self._as_category(f"{self.different} different values, {which} not numbers ({example})", tuple(notes))

    def _misfits_note(self, misfits: int, what: str, example: str) -> str:
        return (
            f"Column {quoted(self.name)} is read as a category because {count_rows(misfits)} hold no {what} "
            f"({example}): if that means missing, make those cells empty or name them with --missing."
        )

    def _as_category(self, why: str, notes: tuple[str, ...] = ()) -> Column:
        if self.different > MOST_LEVELS:
            why += f"; where more than {MOST_LEVELS} are frequent in the training part, each is embedded"
        return self._column(Reading(self.name, "category"), self._read("category"), why, notes)

    # ------------------------------------------------------------ as asked

    def _as_asked(self, kind: str) -> Column:
        """The column as the kind that was asked for, or one sentence on the first cell that does not fit."""
        if kind == "category":
            return self._as_category(ASKED)
        if kind == "text":
            read = self._read("text")
            assert isinstance(read.values, pd.Series)
            if not read.values.str.contains(r"\w").any():
                raise DataError(f"Column {quoted(self.name)} cannot be read as text: no cell of it holds a word.")
            notes = () if _share_words(pd.Series(self.cells[self.cells.notna()])) else (hints.no_words(self.name),)
            return self._column(Reading(self.name, "text"), read, ASKED, notes)
        if kind == "number":
            form, values, notes = self._numbers()
            if values is None and notes:  # several units
                raise DataError(*notes)
            values = numbers.parse(self.cells, form) if values is None else values
            misfits = self._misfits(values)
            if misfits.any():
                raise self._does_not_fit("number", misfits)
            return self._as_number(form, values, tuple(notes), asked=True)
        found = dates.propose(self.cells)
        if found.ambiguous is not None:
            raise DataError(f"Column {quoted(self.name)} cannot be read as date: {found.ambiguous}.")
        if found.form is None:
            raise self._does_not_fit("date", readings.apply(Reading("", "date", date=dates.ISO), self.cells).unfit)
        return self._as_date(found, ASKED)

    def _does_not_fit(self, kind: str, unfit: np.ndarray) -> DataError:
        row = int(np.flatnonzero(unfit)[0])
        return DataError(
            f"Column {quoted(self.name)} cannot be read as {kind}: row {row + 1} holds {quoted(self.cells[row])}, "
            "which is not one."
        )

    # ------------------------------------------------------------ what is made of it

    def _read(self, kind: str) -> Values:
        return readings.apply(Reading(self.name, kind), self.cells)

    def _column(
        self, reading: Reading, read: Values, why: str, notes: tuple[str, ...] = (), found: tuple[Hint, ...] = ()
    ) -> Column:
        return Column(ColumnInfo(self.name, reading.kind, why, self.missing), reading, read, notes, found)

    def _dropped(self, why: str, hint: Hint, notes: tuple[str, ...] = ()) -> Column:
        return self._column(Reading(self.name, "dropped"), self._read("dropped"), why, notes, (hint,))


def _in_brackets(form: numbers.NumberFormat) -> str:
    return f" ({form})" if str(form) else ""


def _plain_numbers(cells: pd.Series) -> pd.Series:
    """The cells as plain numbers, of which few are different."""
    codes, different = pd.factorize(cells)
    values = numbers.parse(pd.Series(different), PLAIN).to_numpy()
    return pd.Series(np.append(values, np.nan)[codes], cells.index)


def _counts_rows(values: pd.Series) -> bool:
    """Whether the column is a row number: as many different whole numbers as rows, without a gap."""
    ordered = np.sort(values.to_numpy())
    return len(ordered) >= SMALLEST_COUNTER and bool(np.all(np.diff(ordered) == 1))


def _words(present: pd.Series) -> pd.DataFrame:
    """Cell and word of the first cells: words as text is read by them, each once a cell; numbers are none."""
    words = present.iloc[:LOOKED_AT].reset_index(drop=True).astype(str).str.lower().str.findall(r"\w+").explode()
    pairs = pd.DataFrame({"cell": words.index, "word": words.to_numpy()}).drop_duplicates()
    return pairs.loc[pairs["word"].astype("str").str.contains(r"[^\W\d_]").eq(True)]


def _is_free_text(present: pd.Series, different: int) -> bool:
    """Whether most cells differ and yet have words in common: a title, a name, a comment, and no identifier."""
    if different <= len(present) / 2:
        return False
    looked_at = present.iloc[:LOOKED_AT]
    long = float(looked_at.astype(str).str.count(r"\w+").mean()) >= FREE_TEXT_WORDS
    return _share_words(present, in_all=long)


def _share_words(present: pd.Series, in_all: bool = False) -> bool:
    """Whether most cells hold a word that some others hold too; one that stands in nearly all is counted `in_all`."""
    cells = min(len(present), LOOKED_AT)
    words = _words(present)
    times = words["word"].map(words["word"].value_counts())
    shared = words.loc[(times >= SHARED) & (in_all | (times <= NOT_IN_ALL * cells))]
    return shared["cell"].nunique() >= WITH_SHARED * cells


def number_values(cells: pd.Series, decimal_comma: bool = False) -> pd.Series:
    """The cells as numbers, NaN where they are none in the format that fits most of them."""
    cells = readings.plain(cells)
    if pd.api.types.is_numeric_dtype(cells):
        return numbers.parse(cells, PLAIN)
    proposal = numbers.propose(cells, decimal_comma)
    if proposal is None or proposal.in_several_units:
        return numbers.parse(cells, PLAIN)
    return proposal.values


def read_times(name: str, cells: pd.Series, decimal_comma: bool = False) -> np.ndarray:
    """The column that orders the rows: numbers, or dates as seconds.

    Raises:
        DataError: a cell is empty or neither number nor date.
    """
    cells = readings.plain(cells)
    if cells.isna().any():
        row = int(np.flatnonzero(cells.isna())[0])
        raise DataError(
            f"Time column {quoted(name)} is empty in {count_rows(int(cells.isna().sum()))}, first in row {row + 1}: "
            "fill these cells in or take the rows out."
        )
    if not pd.api.types.is_datetime64_any_dtype(cells):
        values = number_values(cells, decimal_comma)
        if np.isfinite(values).all():
            return values.to_numpy()
    found = dates.propose(cells)
    if found.values is not None:
        return dates.seconds(found.values).to_numpy(dtype=np.float64)
    why = found.ambiguous or (
        f"its cells (the first holds {quoted(cells[0])}) are not all numbers or all dates such as 2024-12-31"
    )
    raise DataError(f"Time column {quoted(name)} cannot be put in order: {why}.")
