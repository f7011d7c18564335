"""Numbers as people write them: currencies, per cent, units, thousands, decimal commas, brackets, and times of day.

How the numbers of a column are written is proposed from all its cells and kept as a `NumberFormat`. New cells are
parsed by that format alone, so that "1,234" means the same in every file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as arrow

from anymax._core.sentences import quoted

LOOKED_AT = 1000  # cells that tell columns of numbers from the rest
LIKELY = 0.5  # of these, the share that must look like numbers for the others to be looked at

MINUS = "\u2212\u2013-"  # inside a class of characters; an en dash is what people type
SPACES = " \u00a0\u202f\u2009"
APOSTROPHES = "'\u2019"
EXPONENT = "(?:[eE][-+]?[0-9]+)?"
# what stands before an amount: a sign, or codes of ISO 4217 and the like; behind it anything may stand
CURRENCY_SIGN = "[$\u00a2-\u00a5\u0e3f\u20a0-\u20c0]"
CURRENCIES = (
    rf"(?:US|AU?|CA?|NZ|HK|S|R|MX)?{CURRENCY_SIGN}|Rs\.?|kr\.?|Fr\.?|zł|Kč|AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK"
    "|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|ISK|JPY|KRW|MXN|MYR|NGN|NOK|NZD|PEN|PHP|PKR|PLN|RON|RUB|SAR|SEK|SGD|THB|TRY"
    "|TWD|UAH|USD|VND|ZAR"
)
UNIT = rf"{CURRENCY_SIGN}|[%‰]|(?:°|[^\W\d_])[\w°²³/*·^. ]{{0,14}}"
WRITTEN = re.compile(
    rf"(?P<open>\()?[{SPACES}]*(?P<sign>[+{MINUS}])?[{SPACES}]*(?P<before>{CURRENCIES})?[{SPACES}]*"
    rf"(?P<inner>[+{MINUS}])?(?P<digits>[.,]?[0-9]+(?:[.,{APOSTROPHES}{SPACES}][0-9]+)*[.,]?{EXPONENT})"
    rf"[{SPACES}]*(?P<after>{UNIT})?[{SPACES}]*(?P<last>[{MINUS}])?(?P<close>\))?"
)
CLOCK = re.compile(r"([0-9]{1,3})(?::([0-5][0-9])(?::([0-5][0-9](?:\.[0-9]+)?))?)?(?: ?([AaPp])\.?[Mm]\.?)?")
ONE_SPELLING = str.maketrans({**dict.fromkeys(SPACES, " "), **dict.fromkeys(APOSTROPHES, "'")})

# thousands separator and decimal sign, the plainest first
CONVENTIONS = (("", "."), (",", "."), (" ", "."), ("'", "."), ("", ","), (".", ","), (" ", ","), ("'", ","))
NOTHING = (None,) * WRITTEN.groups


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of one column are written; signs, brackets and exponents mean the same in all columns."""

    thousands: str = ""
    decimal: str = "."
    unit: str = ""  # beside the digits; a cell may lack it, and may have no other
    is_clock: bool = False  # times of day or durations, read in hours

    def __str__(self) -> str:
        """What a reader must know about it; nothing of plain numbers."""
        if self.is_clock:
            return "a time, read in hours"
        signs = {",": "comma", ".": "point", " ": "space", "'": "apostrophe"}
        said = []
        if self.decimal == ",":
            said.append("a decimal comma")
        if self.thousands:
            said.append(f"thousands set apart by a{'n' * (self.thousands == APOSTROPHES[0])} {signs[self.thousands]}")
        if self.unit:
            said.append(f"unit {quoted(self.unit)}")
        return ", ".join(said)


PLAIN = NumberFormat()


@dataclass(frozen=True)
class Proposal:
    """The format that fits most cells of a column, and what speaks against it or must be said of it."""

    form: NumberFormat
    values: pd.Series  # the cells in this format, NaN where they are none
    units: dict[str, int]  # the cells with each unit, as it is written most often
    without_unit: int
    spellings: tuple[str, ...] = ()  # of the one unit, where there are several
    undecided: str | None = None  # a cell where the separator may set thousands apart or be the decimal sign

    @property
    def in_several_units(self) -> bool:
        """Whether the numbers cannot be one column of numbers: most have units, and these differ."""
        return bool(self.form.unit) and len(self.units) > 1

    def notes(self, name: str) -> list[str]:
        """What a reader of the results must know where the column is read in this format."""
        notes = []
        if self.undecided:
            as_thousands = self.form.decimal == "."
            comma = "," in self.undecided
            meant = "to set thousands apart" if as_thousands == comma else "as the decimal sign"
            notes.append(
                f"Column {quoted(name)}: the {'comma' if comma else 'point'} of {quoted(self.undecided)} is taken "
                f"{meant}, and no cell says otherwise: if that is wrong, write these numbers without it."
            )
        if len(self.spellings) > 1:
            listed = " and ".join(quoted(each) for each in self.spellings)
            notes.append(f"Column {quoted(name)}: the units {listed} are taken for one.")
        if self.form.unit and self.without_unit:
            notes.append(
                f"Column {quoted(name)}: {self.without_unit} of {self.without_unit + sum(self.units.values())} numbers "
                f"have no unit and are read as if in {quoted(self.form.unit)}."
            )
        return notes

    def units_note(self, name: str) -> str:
        """Why numbers in several units are none."""
        listed = ", ".join(f"{quoted(unit)} in {count}" for unit, count in list(self.units.items())[:5])
        return (
            f"Column {quoted(name)} is not read as numbers, since they stand in {len(self.units)} different units "
            f"({listed}): write all of them in one."
        )


def parse(cells: pd.Series, form: NumberFormat) -> pd.Series:
    """The cells as numbers, NaN where they are none in this format."""
    if pd.api.types.is_numeric_dtype(cells):
        return cells.astype(np.float64)
    text = _as_text(cells)
    values = _Quick(text, form).values
    if values is not None:
        return pd.Series(values, cells.index)
    if form == PLAIN:
        numbers = pd.Series(pd.to_numeric(cells.astype(object), errors="coerce"), cells.index, dtype=np.float64)
        left = (numbers.isna() & cells.notna()).to_numpy()
        if left.any():
            numbers[left] = _Different(text.filter(arrow.array(left))).values(form)
        return numbers
    return pd.Series(_Different(text).values(form), cells.index)


def propose(cells: pd.Series, decimal_comma: bool) -> Proposal | None:
    """The format in which most of the cells are numbers, or None where hardly any looks like one.

    Args:
        cells: text, missing ones NA.
        decimal_comma: whether a comma is rather the decimal sign where the cells do not say it.
    """
    text = _as_text(cells)
    if not decimal_comma and (quick := _Quick(text, PLAIN)).values is not None:
        return Proposal(PLAIN, pd.Series(quick.values, cells.index), {}, len(text) - text.null_count)
    few = text.drop_null()[:LOOKED_AT]
    if not _Written(few).fit.mean() >= LIKELY:
        form = NumberFormat(is_clock=True)
        if not np.mean(~np.isnan(_clock_hours(few))) >= LIKELY:
            return None
        return Proposal(form, parse(cells, form), {}, 0)
    proposed = _propose(_Different(few), decimal_comma)
    if proposed.undecided is None and not proposed.in_several_units:
        # nothing simpler fits a few cells, so where this fits all of them it is what all would propose
        quick = _Quick(text, proposed.form)
        if quick.values is not None:
            counts = {proposed.form.unit: quick.with_unit} if proposed.form.unit else {}
            without = len(text) - text.null_count - quick.with_unit
            values = pd.Series(quick.values, cells.index)
            return replace(proposed, values=values, units=counts, without_unit=without)
    different = _Different(text)
    proposed = _propose(different, decimal_comma)
    if proposed.form == PLAIN:
        return replace(proposed, values=parse(cells, PLAIN))
    return replace(proposed, values=pd.Series(different.values(proposed.form), cells.index))


def _propose(different: _Different, decimal_comma: bool) -> Proposal:
    """What fits most of the cells; they are left to be read by it."""
    written = different.written
    counts = different.counts * written.fit
    fits = {each: _follow(written.digits, each) for each in _preferred(decimal_comma) if _is_there(written, each)}
    reached = {convention: int(counts[fit].sum()) for convention, fit in fits.items()}
    most = max(reached.values())
    thousands, decimal = next(each for each in reached if reached[each] == most)
    units = _Units(written.units, counts)
    # where most cells have none, what stands behind the others belongs to a code, such as "12a"
    unit = next(iter(units.counts), "") if sum(units.counts.values()) >= units.without else ""
    undecided = None
    other = {(",", "."): ("", ","), ("", ","): (",", "."), ("", "."): (".", ",")}.get((thousands, decimal))
    # a point is plain nearly everywhere; where the file's decimal sign is the comma, it may be none
    if reached.get(other or ("", "")) == most and (decimal_comma or (thousands, decimal) != ("", ".")):
        signed = [i for i, digits in enumerate(written.digits) if "." in digits or "," in digits]
        undecided = different.text[signed[0]].as_py() if signed else None
    form = NumberFormat(thousands, decimal, unit)
    return Proposal(form, pd.Series(), units.counts, units.without, units.spellings_of(unit), undecided)


def _preferred(decimal_comma: bool) -> list[tuple[str, str]]:
    """All conventions in the order in which they are believed where several fit."""
    return sorted(CONVENTIONS, key=lambda each: decimal_comma and each != ("", ".") and each[1] != ",")


def _is_there(written: _Written, convention: tuple[str, str]) -> bool:
    """Whether a convention's separator stands in any number, or its decimal sign where it has none; a point may not."""
    sign = convention[0] or convention[1].replace(".", "")
    return not sign or sign in written.separators


def _follow(digits: list[str], convention: tuple[str, str]) -> np.ndarray:
    """Which numbers follow a convention: thousands are groups of three, and no group begins the number with a zero."""
    thousands, decimal = (re.escape(sign) for sign in convention)
    whole = "[0-9]+"
    if thousands:
        whole += f"|[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+"
    if thousands == ",":
        whole += "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"  # as in India
    follows = re.compile(f"(?:{whole})?(?:{decimal}[0-9]*)?{EXPONENT}").fullmatch
    return np.fromiter((follows(number) is not None for number in digits), bool, len(digits))


class _Quick:
    """Cells of one plain pattern, which are read in a tenth of the time in which others are taken apart."""

    def __init__(self, text: arrow.Array, form: NumberFormat) -> None:
        self.values: np.ndarray | None = None  # where all cells follow the pattern
        self.with_unit = 0
        if form.is_clock:
            return
        if form != PLAIN:
            cells = pd.Series(text.to_pandas(), dtype="str")
            if not (cells.str.fullmatch(self._pattern(form)) | cells.isna()).all():
                return
            if form.unit:
                self.with_unit = int(cells.str.contains(form.unit, regex=False).eq(True).sum())
            for sign in (form.unit, form.thousands, " "):
                cells = cells.str.replace(sign, "", regex=False) if sign else cells
            text = _as_text(cells.str.replace(form.decimal, ".", regex=False))
        try:
            self.values = text.cast(arrow.float64()).to_numpy(zero_copy_only=False)
        except arrow.ArrowInvalid:
            self.values = None

    @staticmethod
    def _pattern(form: NumberFormat) -> str:
        thousands, decimal, unit = (re.escape(part) for part in (form.thousands, form.decimal, form.unit))
        whole = f"[0-9]+|[1-9][0-9]{{0,2}}(?:{thousands}[0-9]{{3}})+" if thousands else "[0-9]+"
        number = f"-?(?:{whole})(?:{decimal}[0-9]+)?"
        if not unit:
            return number
        before = f"|{unit} ?{number}" if re.fullmatch(CURRENCIES, form.unit) else ""
        return f"{number}|{number} ?{unit}{before}"


class _Different:
    """The different cells of a column, which one each of them is, and how often each comes."""

    def __init__(self, text: arrow.Array) -> None:
        encoded = text.dictionary_encode()
        self.text = encoded.dictionary
        self.codes = np.asarray(encoded.indices.fill_null(len(self.text)))
        self.counts = np.bincount(self.codes, minlength=len(self.text))[: len(self.text)]

    @cached_property
    def written(self) -> _Written:
        """Each of them taken apart."""
        return _Written(self.text)

    def values(self, form: NumberFormat) -> np.ndarray:
        """The number in each cell, NaN where there is none in this format."""
        values = _clock_hours(self.text) if form.is_clock else self.written.values(form)
        return np.append(values, np.nan)[self.codes]


class _Written:
    """Cells taken apart into sign, digits and unit."""

    def __init__(self, text: arrow.Array) -> None:
        self.digits: list[str] = []  # with separators, spaces and apostrophes in one spelling
        self.units: list[str] = []
        fit, negative = [], []
        for cell in text.to_pylist():
            found = WRITTEN.fullmatch(cell)
            opened, sign, before, inner, digits, after, last, closed = found.groups() if found else NOTHING
            signs = [each for each in (sign, inner, last, opened) if each]
            # half a bracket, two signs, and two units are none
            fits = found is not None and bool(opened) == bool(closed) and len(signs) <= 1 and not (before and after)
            fit.append(fits)
            negative.append(fits and signs not in ([], ["+"]))
            self.digits.append(digits.translate(ONE_SPELLING) if digits is not None and fits else "")
            self.units.append((before or after or "").strip() if fits else "")
        self.fit, self.negative = np.array(fit, dtype=bool), np.array(negative, dtype=bool)
        self.separators = set("".join(self.digits)) & set(".,' ")

    def values(self, form: NumberFormat) -> np.ndarray:
        """The numbers, NaN where a cell does not follow the format."""
        key = _unit_key(form.unit)
        units = {unit for unit in set(self.units) if unit == "" or _unit_key(unit) == key}
        fit = self.fit & _follow(self.digits, (form.thousands, form.decimal))
        fit &= np.fromiter((unit in units for unit in self.units), bool, len(self.units))
        plain = [digits.replace(form.thousands, "") if form.thousands else digits for digits in self.digits]
        plain = pd.Series([digits.replace(form.decimal, ".") for digits in plain], dtype=object)
        values = np.asarray(pd.to_numeric(plain, errors="coerce"), dtype=np.float64)
        return np.where(fit, np.where(self.negative, -values, values), np.nan)


class _Units:
    """The different units of a column; those that differ only in capitals, a plural or a point are one."""

    def __init__(self, units: list[str], counts: np.ndarray) -> None:
        written: Counter[str] = Counter()
        for unit, count in zip(units, counts.tolist(), strict=True):
            if count:
                written[unit] += count
        self.without = written.pop("", 0)
        self._spellings: dict[str, list[str]] = {}
        for unit, _ in written.most_common():
            self._spellings.setdefault(_unit_key(unit), []).append(unit)
        totals = {spelled[0]: sum(written[each] for each in spelled) for spelled in self._spellings.values()}
        self.counts = dict(sorted(totals.items(), key=lambda each: -each[1]))

    def spellings_of(self, unit: str) -> tuple[str, ...]:
        """How the unit is written, where that may be two units: capitals tell "mW" from "MW"."""
        spelled = self._spellings.get(_unit_key(unit), [])
        differing = {each.casefold() for each in spelled}
        return tuple(spelled) if len(spelled) > len(differing) else ()


def _unit_key(unit: str) -> str:
    """The same for all spellings of a unit."""
    key = " ".join(unit.split()).rstrip(".").casefold()
    return key[:-1] if len(key) > 2 and key.endswith("s") else key


def _clock_hours(text: arrow.Array) -> np.ndarray:
    """Times as hours: "11:30", "1:15 PM" or "26:15:30"; NaN where they are none."""
    return np.array([_hours(cell) for cell in text.to_pylist()], dtype=np.float64)


def _hours(cell: str) -> float:
    found = CLOCK.fullmatch(cell)
    if found is None:
        return math.nan
    hours, minutes, seconds, half = found.groups()
    hour = int(hours)
    if half is None:
        if minutes is None:
            return math.nan
    elif not 1 <= hour <= 12:
        return math.nan
    else:
        hour = hour % 12 + 12 * (half in "pP")
    return hour + int(minutes or 0) / 60 + float(seconds or 0) / 3600


def _as_text(cells: pd.Series) -> arrow.Array:
    text = arrow.array(cells if cells.dtype == "str" else cells.map(str, na_action="ignore").astype("str"))
    return text.combine_chunks() if isinstance(text, arrow.ChunkedArray) else text
