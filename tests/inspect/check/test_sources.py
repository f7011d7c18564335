"""What is read, what is skipped and said, and where things stand in it."""

from __future__ import annotations

import ast
import json

import pytest

from anymax.inspect.check.sources import Source, Unreadable, find, matches, read


def notebook(*cells: str, language: str = "python", as_list: bool = True) -> str:
    written = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# title"]},
        *(
            {
                "cell_type": "code",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": code.splitlines(keepends=True) if as_list else code,
            }
            for code in cells
        ),
    ]
    metadata = {"language_info": {"name": language}}
    return json.dumps({"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"


def readable(path) -> Source:
    source = read(str(path))
    assert isinstance(source, Source), source
    return source


def last_expression(source: Source) -> ast.expr:
    statement = source.tree.body[-1]
    assert isinstance(statement, ast.Expr)
    return statement.value


def test_a_folder_gives_its_code_in_order_without_what_is_installed_or_built(tmp_path):
    ours = ["b.py", "a.py", "stub.pyi", "train.ipynb", "inner/c.py"]
    others = [".venv/x.py", "venv/x.py", ".git/x.py", "node_modules/x.py", "build/x.py", ".ipynb_checkpoints/x.ipynb"]
    for name in [*ours, *others, "notes.txt"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = [path.removeprefix(f"{tmp_path}/") for path in find([str(tmp_path)], lambda path: False)]
    assert names == ["a.py", "b.py", "stub.pyi", "train.ipynb", "inner/c.py"]


def test_a_file_that_is_named_is_taken_whatever_its_name_and_each_only_once(tmp_path):
    script = tmp_path / "script"
    script.touch()
    code = tmp_path / "code.py"
    code.touch()
    asked = [str(script), str(code), str(tmp_path), f"{tmp_path}/../{tmp_path.name}/code.py"]
    assert list(find(asked, lambda path: False)) == [str(script), str(code)]


def test_what_is_excluded_is_not_entered(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a.py").touch()
    (tmp_path / "a.py").touch()
    assert list(find([str(tmp_path)], lambda path: matches(path, "old"))) == [str(tmp_path / "a.py")]


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("src/old/a.py", "old", True),
        ("src/old/a.py", "src/old", True),
        ("src/old/a.py", "src/*/a.py", True),
        ("src/old/a.py", "*.py", True),
        ("src/old/a.py", "./src", True),
        ("src/older/a.py", "old", False),
        ("src/old/a.py", "old/b.py", False),
    ],
)
def test_a_pattern_names_a_path_its_last_part_or_a_folder_above_it(path, pattern, expected):
    assert matches(path, pattern) is expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"print 'Python 2'\n", "it is no Python 3"),
        (b"def f(:\n", "it is no Python 3"),
        (b"x = '\xff'\n", "its encoding is not the one it declares"),
        (b"# coding: none-such\n", "it is no Python 3"),
        (b"x = '\0'\n", "source code "),
        (b"(" * 10_000, "too many nested parentheses"),
        (b"-" * 100_000 + b"1", "it cannot be parsed"),
        (b"x = " + b"1" * 10_000, "it is no Python 3"),
    ],
    ids=["Python 2", "syntax", "bytes", "encoding", "null", "parentheses", "depth", "digits"],
)
def test_what_cannot_be_read_has_a_reason(tmp_path, content, reason):
    path = tmp_path / "code.py"
    path.write_bytes(content)
    unreadable = read(str(path))
    assert isinstance(unreadable, Unreadable)
    assert reason in unreadable.reason
    assert "\n" not in unreadable.reason


def test_a_file_that_is_not_there_has_a_reason(tmp_path):
    assert read(str(tmp_path / "none.py")) == Unreadable(str(tmp_path / "none.py"), "No such file or directory")


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("# coding: latin-1\nx = 'é'; f(x)", "iso-8859-1"),
        ("x = 'é'; f(x)", "utf-8"),
        ("x = 'é'; f(x)", "utf-8-sig"),
    ],
)
def test_a_declared_encoding_is_used(tmp_path, content, encoding):
    path = tmp_path / "code.py"
    path.write_bytes(content.encode(encoding))
    source = readable(path)
    assert source.text == content
    assert source.encoding == encoding
    assert source.segment(last_expression(source)) == "f(x)"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_are_right_whatever_ends_lines_and_whatever_stands_before(tmp_path, end):
    path = tmp_path / "code.py"
    text = f'x = """ü{end}\x0cß\u2028"""{end}y = "ü"; f(ü,{end} "日本", 1){end}'
    path.write_bytes(text.encode())
    source = readable(path)
    call = last_expression(source)
    assert source.text == text
    assert source.segment(call) == f'f(ü,{end} "日本", 1)'
    start, stop = source.span(call)
    assert source.position(start) == (3, 10)
    assert source.position(stop) == (4, 10)
    assert source.place(call) == f"{path}:3"


def test_pythons_own_warnings_are_not_ours(tmp_path, recwarn):
    path = tmp_path / "code.py"
    path.write_text("x = '\\d' is 'y'\n")
    readable(path)
    assert not recwarn.list


def test_noqa_names_codes_or_all(tmp_path):
    path = tmp_path / "code.py"
    path.write_text(
        "a = 1  # noqa\nb = 2  # noqa: AMX401\nc = 3  # NOQA:E501,AMX101 why\nd = 4  # noqa: E501 # noqa\ne = 5  # no\n"
    )
    source = readable(path)
    assert source.noqa == {1: set(), 2: {"AMX401"}, 3: {"E501", "AMX101"}, 4: {"E501"}}
    silenced = [[source.is_silenced(code, [line]) for code in ("AMX101", "AMX401")] for line in range(1, 6)]
    assert silenced == [[True, True], [False, True], [True, False], [False, False], [False, False]]


class TestNotebooks:
    def read(self, tmp_path, *cells, **options) -> Source:
        path = tmp_path / "train.ipynb"
        path.write_text(notebook(*cells, **options))
        return readable(path)

    @pytest.mark.parametrize("as_list", [True, False])
    def test_cells_are_one_source_with_places_in_cells(self, tmp_path, as_list):
        source = self.read(tmp_path, "import torch\nx = 1", "y = 2\n", "\nf(x)", as_list=as_list)
        assert source.text == "import torch\nx = 1\ny = 2\n\n\nf(x)"
        call = last_expression(source)
        assert source.segment(call) == "f(x)"
        assert source.place(call) == f"{tmp_path}/train.ipynb, cell 4, line 2"
        assert source.position(source.span(call)[0]) == (2, 1)

    @pytest.mark.parametrize(
        "line",
        ["%matplotlib inline", "!pip install torch", "?softmax", "softmax??", "files = !ls *.py", "t = %timeit f(x)"],
    )
    def test_lines_of_ipython_are_left_out_and_the_others_keep_their_place(self, tmp_path, line):
        source = self.read(tmp_path, f"a = 1\n{line}\nif a:\n    {line}\nf(a)")
        assert not source.unread
        assert source.segment(last_expression(source)) == "f(a)"
        assert last_expression(source).lineno == 5

    def test_a_shell_command_goes_on_behind_a_backslash(self, tmp_path):
        source = self.read(tmp_path, "!pip install \\\n    torch \\\n    anymax\nf(a)")
        assert (len(source.tree.body), last_expression(source).lineno, source.unread) == (2, 4, ())

    def test_cells_of_another_language_are_blank_and_timed_ones_are_not(self, tmp_path):
        source = self.read(tmp_path, "%%bash\nls -l", "%%time\nf(a)", "%%writefile x.py\nimport torch")
        assert [type(each) for each in source.tree.body] == [ast.Pass, ast.Expr]
        assert not source.unread

    def test_a_percent_sign_inside_an_expression_is_no_magic(self, tmp_path):
        source = self.read(tmp_path, "f(a\n% b)")
        assert source.segment(last_expression(source)) == "f(a\n% b)"

    def test_a_cell_that_is_no_python_is_said_and_the_others_are_read(self, tmp_path):
        source = self.read(tmp_path, "print 'x'\nx = 1", "f(a)", "await f(a)")
        assert [(each.cell, each.line) for each in source.unread] == [(2, 1)]
        assert [source.position(source.span(each)[0])[0] for each in source.tree.body] == [1, 1]

    def test_other_languages_and_formats_are_said(self, tmp_path):
        path = tmp_path / "train.ipynb"
        for text, reason in (
            (notebook("f <- 1", language="R"), "its language is r"),
            ("{}", "it is no notebook of format 4"),
            ("[1]", "it is no notebook of format 4"),
            ("not JSON", "it is no notebook of format 4"),
            ('{"cells": [{"cell_type": "code", "source": [1]}]}', "it is no notebook of format 4"),
            ('{"cells": [], "metadata": []}', "it is no notebook of format 4"),
        ):
            path.write_text(text)
            unreadable = read(str(path))
            assert isinstance(unreadable, Unreadable)
            assert reason in unreadable.reason
