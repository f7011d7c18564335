"""Hostile files through the command line: one sentence and exit status 2 with nothing written, or a right reading."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as arrow
import pyarrow.parquet
import pytest

from anymax import cli
from anymax._core.sentences import quoted
from anymax.lab import storage
from anymax.lab.data import formats
from anymax.lab.data.table import TableDataset
from anymax.lab.errors import DataError
from anymax.lab.report.page import write
from tests.lab.calls import load

SIZES = np.random.default_rng(0).normal(size=60).round(3)
CLASSES = ["a", "b"] * 30
FAST = ("--methods", "softmax,sigmoid", "--epochs", "1", "--seeds", "3", "--lr", "0.01", "--output", "out")


def csv(header: str = "size,kind", more: str = "", separator: str = ",") -> str:
    """Sixty rows of a number and a class, each with the same cells after them."""
    rows = [f"{size}{separator}{kind}{more}" for size, kind in zip(SIZES, CLASSES, strict=True)]
    return "\n".join([header, *rows]) + "\n"


class Page(HTMLParser):
    """The text of a page, its tags, the names of their attributes, and every address that it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data):
        self.text += data


class Ended:
    """How a run of the program ended: its status, what it printed, and the results where it wrote any."""

    def __init__(self, status: object, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def sentence(self) -> str:
        """Why it was refused, checked to be one short line that acts on no terminal, with nothing written."""
        assert self.status == 2, self.err
        assert self.out == ""
        assert not Path("out").exists()
        assert self.err.startswith("anymax: ")
        line = self.err.removeprefix("anymax: ").removesuffix("\n")
        assert line.isprintable()
        assert line.endswith(".")
        assert len(line) < 500
        return line

    @property
    def data(self) -> dict[str, Any]:
        """What was read, checked to be shown on a terminal without acting on it."""
        assert self.status == 0, self.err
        assert all(line.isprintable() for line in self.out.split("\n"))
        return json.loads(Path("out/results.json").read_text(encoding="utf-8"))["data"]

    @property
    def kinds(self) -> dict[str, str]:
        """By column what it was read as."""
        return {column["name"]: column["kind"] for column in self.data["columns"]}

    @property
    def page(self) -> str:
        """The report."""
        assert self.status == 0, self.err
        return Path("out/report.html").read_text(encoding="utf-8")


@pytest.fixture
def compare(heads_alone, monkeypatch, capsys, tmp_path):
    """Write a file, where there is content for it, and run `anymax compare` on it in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def compare(content: str | bytes | None, *options: str, name: str = "d.csv", target: str | None = "kind") -> Ended:
        if content is not None:
            Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
        asked = () if target is None else ("--target", target)
        monkeypatch.setattr(sys, "argv", ["anymax", "compare", name, *asked, *FAST, *options])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return Ended(stop.value.code, *capsys.readouterr())

    return compare


# what is printed


def test_a_name_in_a_sentence_is_short_and_acts_on_no_terminal():
    assert quoted("si\x1b[2Jze\n\x9b31m") == r"'si\x1b[2Jze \x9b31m'"
    assert quoted("e\u202etxt.\u200b") == r"'e\u202etxt.\u200b'"
    assert quoted("[red]Größe[/] 大小 :smile:") == "'[red]Größe[/] 大小 :smile:'"
    assert quoted("q" * 5_000_000) == f"'{'q' * 40}…'"


def test_a_column_asked_for_by_signs_that_act_on_a_terminal(compare):
    sentence = compare(csv(), target="\x1b[31mred").sentence
    assert sentence == r"There is no column '\x1b[31mred' to be the target: the columns are 'size', 'kind'."


# encodings


@pytest.mark.parametrize("first", ["utf-8", "latin-1"])
def test_two_encodings_in_one_file(compare, first):
    second = "latin-1" if first == "utf-8" else "utf-8"
    content = csv().encode() + "1,ä\n".encode(first) + "2,b\n3,ö\n".encode(second)
    utf8, other = (62, 64) if first == "utf-8" else (64, 62)
    assert compare(content).sentence == (
        f"'d.csv' is UTF-8 in line {utf8} and is not in line {other}: write all of it as UTF-8."
    )


def test_an_encoding_is_named_on_the_command_line(compare):
    content = csv().replace(",a", ",Москва").encode("cp1251")
    assert compare(content, "--encoding", "cp1251").data["class_names"] == ["b", "Москва"]
    assert compare(content, "--encoding", "rot13", "--output", "other").err == (
        "anymax: --encoding rot13 names no encoding of text: expected one such as utf-8, cp1252 or shift_jis.\n"
    )


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("header", ["size,kind", "größe,kind", "размер,вид"])
def test_utf_16_without_its_mark(compare, header, encoding):
    assert compare(csv(header).encode(encoding)).sentence == (
        "'d.csv' is named .csv but is UTF-16 without a byte order mark: write it as UTF-8."
    )


@pytest.mark.parametrize("content", [csv().encode("utf-32"), csv().encode("utf-16") + b"x"], ids=["utf-32", "cut off"])
def test_other_encodings_are_no_readable_text(compare, content):
    assert compare(content).sentence == "'d.csv' is named .csv but is not readable text: write it as UTF-8."


@pytest.mark.parametrize(("line", "character"), [(1, "\0"), (61, "\x1b"), (20_000, "\0")])
def test_a_control_character_is_named_with_its_line(compare, line, character):
    lines = (csv() + "1,a\n" * 20_000).split("\n")
    lines[line - 1] += character
    assert compare("\n".join(lines)).sentence == (
        f"'d.csv' is named .csv but is a binary file (line {line} holds the byte {ord(character):#04x}): "
        "write it as comma-separated text."
    )


def test_a_byte_order_mark_before_semicolons_and_quotes(compare):
    content = ("\ufeff" + csv('"size";kind', separator=";")).encode()
    assert compare(content).kinds == {"kind": "target", "size": "number"}


# rows and names


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (csv() + "1,a,3\n", "line 62 has 3 cells where 2 are expected"),
        (csv(more=",9"), "its rows have more cells than its header"),
        (csv() + '1,"a\n' + csv(), "a quote that opens in row 61 is never closed"),
        (csv('size,"kind'), "a quote that opens in the header is never closed"),
    ],
    ids=["one long row", "every row long", "open quote", "open quote in the header"],
)
def test_an_irregular_table(compare, content, why):
    assert compare(content).sentence == (f"'d.csv' is not a regular table (a comma was taken as its separator): {why}.")


def test_a_row_that_is_too_short_misses_its_last_cells(compare):
    ended = compare(csv("size,kind,more", ",1") + "5,a\n6\n")
    assert {column["name"]: column["missing"] for column in ended.data["columns"]} == {"kind": 1, "size": 0, "more": 1}
    assert ended.data["class_counts"] == [31, 30]


SHORT = "end before the last column: their missing cells count as empty."


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (csv("size,kind,more", ",1") + "5,a\n6\n", f"2 rows {SHORT}"),
        (csv("size,kind,more", ",1") + "5,a\n", "1 row ends before the last column: its missing cells count as empty."),
        (csv("size,kind,more", ",1") + "5,a,\n6,b,\n", None),
        (csv("size,kind,more", ",1") + "5,a,\n\n \n\n", None),
        ("\n \n" + csv('size,kind,"more\nof"', ',"1,2\n3"') + "5,a\n6,b\n7,b,\n", f"2 rows {SHORT}"),
        (csv("size,kind,more,no", ',12" disk,1') + "5,a\n6\n7,a,,\n", f"2 rows {SHORT}"),
        (csv("size;kind;more", ";1", ";") + "5;a\n6,7,8;a\n", f"2 rows {SHORT}"),
        (csv("size,kind,more", ",1").replace("\n", "\r") + "5,a\r6\r", f"2 rows {SHORT}"),
        (csv("size,kind,more", f",{'no word' * 60_000}") + "5,a\n6\n", f"2 rows {SHORT}"),
    ],
    ids=["short", "one", "empty", "blank", "quoted", "one quote", "semicolons", "carriage returns", "long cells"],
)
def test_rows_that_end_early_are_counted(tmp_path, content, note):
    (tmp_path / "d.csv").write_bytes(content.encode())
    notes = load(tmp_path / "d.csv", target="kind").info().notes
    assert [found for found in notes if "before the last column" in found] == ([note] if note else [])


def test_names_that_are_not_there_are_numbered(compare):
    assert compare(csv(",kind,", ",x")).kinds == {"kind": "target", "Unnamed: 0": "number", "Unnamed: 2": "dropped"}


def test_a_tab_before_the_first_name_is_a_name_that_is_not_there(compare):
    assert compare(csv("\tkind", separator="\t")).kinds == {"kind": "target", "Unnamed: 0": "number"}


def test_two_columns_of_one_name_at_the_end_of_a_long_header(compare):
    names = [f"column number {i}" for i in range(10_000)]
    content = ",".join([*names, "twice", "kind", " twice "]) + "\n" + "1," * 10_002 + "1\n"
    assert compare(content).sentence == "'d.csv' has 2 columns named 'twice': rename all but one of them."


@pytest.mark.parametrize("line_end", ["\r\n", "\r"], ids=["CRLF", "CR"])
def test_a_name_over_two_lines_and_blank_lines_before_it(compare, line_end):
    content = line_end + "  " + line_end + csv('"the\nsize",kind').replace("\n", line_end)
    assert list(compare(content).kinds.values()) == ["target", "number"]


def test_brackets_without_end_are_no_json(compare):
    assert compare("[" * 5_000 + "\n1\n").sentence.startswith("There is no column 'kind' to be the target")


# five megabytes in one place

LONG = "q" * 5_000_000


@pytest.mark.parametrize(
    ("header", "name"),
    [(f"{LONG},kind", LONG), (f'size,"{LONG}"', 'size,"' + LONG), (f"size,{LONG},kind", "size," + LONG)],
    ids=["first", "quoted", "in the middle"],
)
def test_a_long_name_is_refused(compare, header, name):
    assert compare(csv(header)).sentence == (
        f"'d.csv' has a column whose name is longer than 10000 characters ('{name[:40]}…'): "
        "shorten it, or close a quote that is left open."
    )


def test_a_long_class_is_refused(compare):
    assert compare(csv() + f"1.5,{LONG}\n").sentence == (
        f"Target column 'kind' holds a cell of 5000000 characters ('{'q' * 40}…'): "
        "expected the names of classes, of 10000 characters at most."
    )


def test_a_long_cell_among_numbers_is_named_in_short(compare, drawn):
    cells = [f"{i % 7}" for i in range(59)] + [LONG]
    rows = "".join(f"{cell},{kind},{size}\n" for cell, kind, size in zip(cells, CLASSES, SIZES, strict=True))
    ended = compare("more,kind,size\n" + rows)
    assert ended.kinds == {"kind": "target", "more": "category", "size": "number"}
    assert f"1 row hold no number ('{'q' * 40}…')" in ended.data["notes"][0]
    assert len(ended.out) + len(ended.page) + Path("out/results.json").stat().st_size < 400_000


def test_a_long_word_in_free_text(compare, drawn):
    rows = "".join(
        f"{size},{kind},row {i} has some words {LONG if i == 3 else ''}\n"
        for i, (size, kind) in enumerate(zip(SIZES, CLASSES, strict=True))
    )
    ended = compare("size,kind,more\n" + rows)
    assert ended.kinds["more"] == "text"
    assert len(ended.out) + len(ended.page) + Path("out/results.json").stat().st_size < 400_000


def test_many_columns_of_which_none_is_left(compare):
    names = [f"c{i}" for i in range(300)]
    content = ",".join([*names, "kind"]) + "\n" + "".join("1," * 300 + f"{kind}\n" for kind in CLASSES)
    assert compare(content).sentence == (
        "No feature column is left beside the target 'kind': 'c0' holds '1' in every row; 'c1' holds '1' in every row; "
        "'c2' holds '1' in every row; 'c3' holds '1' in every row; 'c4' holds '1' in every row; and 295 more."
    )


# thousands of columns


def test_thousands_of_columns_are_read_and_the_report_shows_some(compare, drawn):
    cells = np.random.default_rng(0).integers(0, 1000, size=(60, 1_999)).astype(str)
    rows = [",".join([*row, kind]) for row, kind in zip(cells, CLASSES, strict=True)]
    content = "\n".join([",".join([*(f"c{i}" for i in range(1_999)), "kind"]), *rows]) + "\n"
    ended = compare(content, "--methods", "softmax", "--seeds", "1")
    assert len(ended.data["columns"]) == 2_000
    assert len(ended.out) < 5_000
    text = Page(ended.page).text
    assert "Columns as read: 2,000" in text
    assert "1 target, 1,999 number" in text
    assert "and 1,800 more in results.json." in text
    assert "c198" in text
    assert "c199" not in text
    assert len(ended.page) < 400_000


def test_more_notes_than_anybody_reads(compare):
    counts = np.random.default_rng(0).integers(1, 4, size=(60, 130)).astype(str)
    counts[0] = "?"
    rows = [",".join([*row, kind]) for row, kind in zip(counts, CLASSES, strict=True)]
    ended = compare("\n".join([",".join([*(f"c{i}" for i in range(130)), "kind"]), *rows]) + "\n")
    assert len(ended.data["notes"]) == 130
    assert "and 118 more notes in results.json" in ended.out
    text = Page(ended.page).text
    assert "Column 'c99' is read as a category because" in text
    assert "Column 'c100' is read as a category because" not in text
    assert "and 30 more notes in results.json" in text


# markup

ATTACK = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg onload=alert(3)>{{ 7 * 7 }}&amp;"


def test_markup_in_data_is_text_in_the_report(compare, drawn):
    def quote(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    attack = quote(ATTACK)
    header = ",".join(["size", quote("same" + ATTACK), quote("level" + ATTACK), quote("kind" + ATTACK)])
    rows = [
        f"{size},{attack},{quote(kind + ATTACK)},{quote(kind + ATTACK) if i > 3 else attack}"
        for i, (size, kind) in enumerate(zip(SIZES, CLASSES, strict=True))
    ]
    name = ATTACK.replace("/", "") + ".csv"
    ended = compare("\n".join([header, *rows]) + "\n", name=name, target="kind" + ATTACK)
    assert ended.data["class_names"] == [ATTACK, "a" + ATTACK, "b" + ATTACK]
    page = Page(ended.page)
    assert not {"script", "svg"} & set(page.tags)
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert not [name for name in page.attributes if name.startswith("on")]
    for shown in (name, "same" + ATTACK, "level" + ATTACK, "kind" + ATTACK, "a" + ATTACK, f"{ATTACK[:40]}… (4)"):
        assert shown in page.text
    # a report that was made again is the same
    again = Path("out/report.html").read_bytes()
    write(storage.load(Path("out/results.json")), Path("out/report.html"))
    assert Path("out/report.html").read_bytes() == again


def test_marks_of_the_terminal_library_are_text(compare):
    marks = "[red]x[/] :smile: [/]"
    ended = compare(
        csv(f"{marks},kind") + f"1.5,{marks}\n", "--as", f"{marks}=number", name=f"{marks}.csv".replace("/", "")
    )
    assert f"{marks}.csv".replace("/", "") in ended.out
    assert f"{marks} (1)" in " ".join(ended.out.split())
    assert compare(csv(), target=marks, name=f"{marks}.csv".replace("/", "")).err.startswith(
        f"anymax: There is no column '{marks}' to be the target"
    )


@pytest.mark.parametrize("name", ["\x1b[2J.csv", os.fsdecode(b"\xff.csv"), "a\nb.csv"], ids=["act", "bytes", "lines"])
def test_names_of_files_that_are_no_text(compare, name):
    ended = compare(csv(), name=name)
    assert ended.data["name"] == ascii(name)[1:-1]
    assert f"<h1>{ascii(name)[1:-1]}: which" in ended.page
    Path(name).write_text("size,kind\n")
    assert compare(None, "--output", "other", name=name).err.endswith(" has a header and no rows below it.\n")


# JSON lines


def jsonl(more: str = "", **cells: str) -> str:
    """Sixty objects of a number and a class, each with the same text after them, or other cells as JSON."""
    sizes, kinds = cells.get("size"), cells.get("kind")
    return "".join(
        f'{{"size": {sizes or size}, "kind": {kinds or json.dumps(kind)}{more}}}\n'
        for size, kind in zip(SIZES, CLASSES, strict=True)
    )


def test_json_that_is_not_utf_8_says_so(compare):
    ended = compare(jsonl().replace('"a"', '"ä"').encode("latin-1"), name="d.jsonl")
    assert ended.data["class_names"] == ["b", "ä"]
    assert "'d.jsonl' is not valid UTF-8 and was read as cp1252 ('ä')" in " ".join(ended.out.split())


@pytest.mark.parametrize("missing", ['{"size": 1.5}', '{"kind": null, "size": 1.5}', '{"kind": NaN, "size": 1.5}'])
def test_whole_numbers_in_json_stay_classes_where_some_are_missing(compare, missing):
    content = jsonl().replace('"a"', "1").replace('"b"', str(2**70 + 1)) + missing
    data = compare(content, name="d.jsonl").data
    assert data["class_names"] == ["1", "1180591620717411303425"]
    assert data["columns"][0]["missing"] == 1


def test_numbers_in_json_are_read_as_they_stand_there(tmp_path):
    path = tmp_path / "d.jsonl"
    zips = ["7", "8", "null", "7.0", '"8"', "true"]
    path.write_text("".join(f'{{"zip": {zips[i % 6]}, "kind": "{kind}"}}\n' for i, kind in enumerate(CLASSES)))
    dataset = load(path, target="kind", kinds={"zip": "category"})
    assert isinstance(dataset, TableDataset)
    assert sorted(set(dataset.categories["zip"])) == ["(missing)", "7", "7.0", "8", "True"]
    only_sevens = load(path, target="kind", kinds={"zip": "category"}, missing=["8"])
    assert isinstance(only_sevens, TableDataset)
    assert sorted(set(only_sevens.categories["zip"])) == ["(missing)", "7", "7.0", "True"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            '{"size": 1, "kind": "a", "size": 2}',
            "Line 61 of 'd.jsonl' names the key 'size' twice: take one of them out.",
        ),
        (
            r'{"size": 1, "kind": "\ud800"}',
            "Line 61 of 'd.jsonl' holds half a character (\\ud800 to \\udfff without the other ",
        ),
        (
            r'{"size\uDfff": 1, "kind": "a"}',
            "Line 61 of 'd.jsonl' holds half a character (\\ud800 to \\udfff without the other ",
        ),
        (
            r'{"si\u0000ze": 1, "kind": "a"}',
            r"Column 'si\x00ze' of 'd.jsonl' has a null character in its name: rename it.",
        ),
        ('{"size": Infinity, "kind": "a"}', "Feature column 'size' holds an infinite number ('Infinity', row 61): "),
        (
            f'{{"size": {10**400}, "kind": "a"}}',
            f"Feature column 'size' holds an infinite number ('1{'0' * 39}…', row 61): ",
        ),
        ('{"size": {"a": 1}, "kind": "a"}', "Column 'size' of 'd.jsonl' holds several values in one cell (row 61): "),
        ("[" * 200_000, "Line 61 of 'd.jsonl' is not JSON: write one JSON object a line."),
        ('{"size": 1, "kind": "a"', "Line 61 of 'd.jsonl' is not JSON: write one JSON object a line."),
        (
            f'{{"{"q" * 20_000}": 1}}',
            f"'d.jsonl' has a column whose name is longer than 10000 characters ('{'q' * 40}…'): ",
        ),
        ('{"kind ": 1}', "'d.jsonl' has 2 columns named 'kind': rename all but one of them."),
    ],
    ids=["twice", "half", "half a name", "null", "infinite", "huge", "nested", "deep", "cut off", "long", "spaces"],
)
def test_json_that_cannot_be_compared_on(compare, line, why):
    assert compare(jsonl() + line + "\n", name="d.jsonl").sentence.startswith(why)


def test_both_halves_of_a_sign_are_one(compare):
    content = jsonl().replace('"a"', r'"\ud83d\ude00"')
    assert compare(content, name="d.jsonl").data["class_names"] == ["b", "😀"]


def test_signs_that_act_on_a_terminal_in_json(compare):
    content = jsonl(r', "\u001b[2J\u009b": "\u001b]0;x\u0007"') + r'{"size": 1, "kind": "\u001b[31m"}' + "\n"
    ended = compare(content, name="d.jsonl")
    assert ended.kinds == {"kind": "target", "size": "number", "\x1b[2J\x9b": "category"}
    assert ended.data["class_names"] == ["\x1b[31m", "a", "b"]
    assert r"\x1b[31m (1)" in " ".join(ended.out.split())


# Parquet


def parquet(path: str, columns: dict[str, Any], names: list[str] | None = None) -> None:
    arrow.parquet.write_table(arrow.table(list(columns.values()), names=names or list(columns)), path)


def test_two_columns_of_one_name_in_parquet(compare):
    parquet("d.parquet", {"size": SIZES, "kind": CLASSES, "more": CLASSES}, ["size", "kind", "kind "])
    assert compare(None, name="d.parquet").sentence == (
        "'d.parquet' has 2 columns named 'kind': rename all but one of them."
    )


def test_whole_numbers_in_parquet_stay_classes_where_some_are_missing(compare):
    kinds = [None, *(2**53 + i % 2 for i in range(59))]
    parquet("d.parquet", {"size": SIZES, "kind": arrow.array(kinds, arrow.int64())})
    assert compare(None, name="d.parquet").data["class_names"] == [str(2**53), str(2**53 + 1)]


def test_whole_numbers_in_parquet_stay_levels_where_some_are_missing(tmp_path):
    zips = [None if i % 3 == 0 else i % 3 for i in range(60)]
    frame = pd.DataFrame({"plain": pd.Series(zips, dtype=object), "nullable": pd.Series(zips, dtype="Int64")})
    frame.assign(kind=CLASSES).to_parquet(tmp_path / "d.parquet")
    dataset = load(tmp_path / "d.parquet", target="kind", kinds={"plain": "category", "nullable": "category"})
    assert isinstance(dataset, TableDataset)
    for name in ("plain", "nullable"):
        assert sorted(set(dataset.categories[name])) == ["(missing)", "1", "2"], name


@pytest.mark.parametrize("name", ["d.parquet", "d.npz"])
def test_files_with_any_bytes_wrong_are_read_or_refused(tmp_path, name):
    path = tmp_path / name
    if name == "d.parquet":
        parquet(str(path), {"size": SIZES, "kind": CLASSES})
    else:
        np.savez_compressed(path, X=SIZES[:, None], y=CLASSES)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    sentences = []
    for _ in range(200):
        broken = np.frombuffer(whole, np.uint8).copy()
        broken[generator.integers(4, len(whole) - 8, size=3)] ^= generator.integers(1, 256, size=3, dtype=np.uint8)
        path.write_bytes(broken.tobytes())
        try:
            load(path, target="kind" if name == "d.parquet" else None).info()
        except DataError as error:
            sentences.append(str(error))
    assert 0 < len(sentences) < 200
    assert all(sentence.isprintable() and len(sentence) < 500 for sentence in sentences)


def test_an_array_that_is_larger_than_any_memory(compare):
    arrays = io.BytesIO()
    np.savez(arrays, X=SIZES[:, None], y=CLASSES)
    header = b"'shape': (60, 1), }" + b" " * 20
    assert arrays.getvalue().count(header) == 1
    with zipfile.ZipFile(arrays) as archive, zipfile.ZipFile("d.npz", "w") as lying:
        lying.writestr("y.npy", archive.read("y.npy"))
        lying.writestr(
            "X.npy", archive.read("X.npy").replace(header, b"'shape': (1000000000000, 10), }".ljust(len(header)))
        )
    assert compare(None, name="d.npz", target=None).sentence.startswith(
        "'d.npz' is not a NumPy archive of plain arrays: "
    )


def test_parquet_whose_notes_to_pandas_are_wrong(compare):
    table = arrow.table({"size": SIZES, "kind": CLASSES}).replace_schema_metadata({"pandas": "[]"})
    arrow.parquet.write_table(table, "d.parquet")
    assert compare(None, name="d.parquet").sentence.startswith("'d.parquet' cannot be read as a Parquet file: ")


# what stands at the path


@pytest.mark.parametrize("name", ["d.csv", "d.parquet", "d.jsonl", "d.npz"])
def test_no_file_stands_there(compare, name):
    Path(name).symlink_to("nowhere")
    assert compare(None, name=name).sentence == f"There is no file '{name}'."
    Path(name).unlink()
    Path(name).mkdir()
    assert compare(None, name=name).sentence.startswith(f"'{name}' is a folder: expected a .csv, .tsv, ")
    Path(name).rmdir()
    os.mkfifo(name)
    assert compare(None, name=name).sentence.startswith(f"'{name}' is neither a file nor a folder: expected a .csv, ")


def test_a_text_that_is_no_file(compare):
    os.mkfifo("d.txt")
    assert compare(None, name="d.txt", target=None).sentence.startswith("'d.txt' is neither a file nor a folder: ")


def test_links_in_a_ring_and_names_beyond_the_system(compare):
    Path("d.csv").symlink_to("d.csv")
    assert compare(None).sentence == "'d.csv' cannot be read: Too many levels of symbolic links."
    assert compare(None, name="q" * 5_000, target=None).sentence == (
        f"'{'q' * 250}…' cannot be read: File name too long."
    )


def test_a_folder_whose_name_is_beyond_the_system(compare):
    assert compare(csv(), "--output", "q" * 300).sentence == (
        f"The results cannot be written to '{'q' * 250}…': File name too long."
    )


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl", "d.npz", "d.parquet"])
def test_a_file_that_may_not_be_read(compare, monkeypatch, name):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(formats, "ParquetFile", refuse)
    assert compare(csv(), name=name, target=None if name == "d.npz" else "kind").sentence == (
        f"'{name}' cannot be read: Permission denied."
    )
