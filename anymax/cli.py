"""The command line: `anymax compare DATA`, `anymax predict DIR ROWS`, `anymax report DIR`, `anymax bench`; with torch
alone, `anymax explain SHAPE`; without even that, `anymax check PATH`.

Whatever is wrong with a request is one sentence on standard error and exit status 2; nothing is written then.
"""

from __future__ import annotations

import io
import optparse
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

from anymax import __version__
from anymax._core.files import write_whole
from anymax._core.sentences import LONGEST_PATH, of_path, printable, quoted, shown

if TYPE_CHECKING:
    import typer

    from anymax.lab.errors import Option

INSTALL = 'pip install "anymax[lab]"'
WRONG_ANSWER = 1
CUT_SHORT = 1  # by whoever read the output, before the command came to its end
BAD_INPUT = 2
INTERRUPTED = 130


def main() -> None:
    """The program `anymax`."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without some letter gets a question mark, not a traceback.
        stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    status = CUT_SHORT
    try:
        status = _run(*sys.argv[1:] or ["--help"])
    except BrokenPipeError:
        pass
    finally:
        _write_what_is_buffered()
    sys.exit(status)


def _run(name: str, *arguments: str) -> int:
    """Run a command; its exit status."""
    if name == "--help":
        print(_help())
    elif name == "--version":
        print(f"anymax {__version__}")
    elif name == "explain":
        explain(list(arguments))
    elif name == "check":
        return check(list(arguments))
    elif name in _OF_EXTRA:
        return _of_extra(name, list(arguments))
    else:
        _stop(f"There is no command {quoted(name)} (see anymax --help).")
    return 0


def _write_what_is_buffered() -> None:
    """Where the reader of a pipe has seen enough and closed it (`anymax ... | head -1`), the rest goes nowhere."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _help() -> str:
    lines = [
        "Usage: anymax COMMAND ...",
        "",
        "Everything between scores and probabilities in PyTorch.",
        "",
        "Commands:",
    ]
    for command in (*_OF_EXTRA.values(), explain, check):
        label = f"  {command.__name__:9}"
        lines += textwrap.wrap(label + (command.__doc__ or ""), 79, subsequent_indent=" " * len(label))
    return "\n".join([*lines, "", "Run anymax COMMAND --help for more, anymax --version for the version."])


def _of_extra(name: str, arguments: list[str]) -> int:
    """Run a command that needs the extra; the exit status."""
    # typer takes longer than the commands that do without; it reads the annotations below in this module's names
    global typer
    try:
        import typer
    except ImportError:
        _stop(f"{name} needs more than torch; {INSTALL} brings it.")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(_OF_EXTRA[name])
    # The class of every complaint about the command line itself; where typer keeps it depends on its version.
    usage_error = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
    try:
        status = app(arguments, prog_name=f"anymax {name}", standalone_mode=False)
    except usage_error as error:
        _stop(f"{error.format_message().rstrip('.')} (see anymax {name} --help).")
    return status if isinstance(status, int) else 0


def compare(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="digits, wine, breast-cancer, pydoc; a .csv, .tsv, .parquet or .jsonl file with --target; an .npz "
            "file with X and y; a .txt file or a folder of them.",
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that holds the classes, or lists of labels; or several with commas: labels of yes and no.",
        ),
    ] = None,
    target_separator: Annotated[
        str | None,
        typer.Option(metavar="SIGN", help="What stands between the labels in a cell of the target, such as ';'."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Rows with the same value here stay in one part.")
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="Test on the rows that are latest here.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Leave a column out; may be repeated.")
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="COLUMN=KIND", help="Read a column as number, category, date or text."),
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option(metavar="CELL", help="A cell that means missing, beside empty ones.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a file of text, such as cp1252; default: recognised.")
    ] = None,
    vocab_size: Annotated[int | None, typer.Option(metavar="N", help="Text: the most words that are classes.")] = None,
    min_count: Annotated[int | None, typer.Option(metavar="N", help="Text: how often a word must occur.")] = None,
    context: Annotated[
        int | None, typer.Option(metavar="N", help="Text: words that a prediction looks back on.")
    ] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B", help="Methods to compare, with commas; default: all that fit.")
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="Number of repeats; default: until all is decided, 40 at most; 3 for text."),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time for all repeats, such as 10m; default: 3m for tables without --seeds."),
    ] = None,
    margin: Annotated[
        float, typer.Option(metavar="X", help="How much does not matter: 0.01 is a point of a share, 1 % of a NLL.")
    ] = 0.01,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="The most epochs of one training.")] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time in steps of each training, such as 60s, instead of epochs.")
    ] = None,
    lr: Annotated[
        float | None, typer.Option(metavar="X", help="The learning rate; default: the best of three, per method.")
    ] = None,
    decide_by: Annotated[
        str | None, typer.Option(metavar="M", help="The measure that decides, such as top1, macro_f1 or nll.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Predictions that you have, to stand beside the heads: columns row (from 0) and prediction, or row "
            "and one for each class.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The folder for the results, where a stopped run goes on; default: anymax-DATA."
        ),
    ] = None,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Keep no model for anymax predict: none is trained on all rows.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(metavar="P", help="32-true, bf16-mixed, 16-mixed or 64-true.")] = "32-true",
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FACTORY",
            help="Your network before the heads: FACTORY(in_features) makes it, from (rows, in_features) to (rows, "
            "features); for text FACTORY(num_words), from word ids (windows, length) to (windows, length, features).",
        ),
    ] = None,
) -> None:
    """Train every output head on the same features and say which to take, and why."""
    with _one_sentence():
        from anymax.lab.api import WRITERS
        from anymax.lab.api import compare as compare_methods
        from anymax.lab.errors import LabError
        from anymax.lab.model import keep
        from anymax.lab.report import terminal
        from anymax.lab.training.folder import TRAININGS
        from anymax.lab.training.machine import is_first_process

    _import_from_here(backbone)
    folder = output or Path(f"anymax-{Path(data).stem}")

    def interrupted() -> str:
        kept = (folder / TRAININGS).exists()
        stays = f"what is finished stays in {of_path(folder)}, where the same command goes on"
        return stays if kept else "nothing was written"

    with _one_sentence(LabError, interrupted=interrupted):
        with terminal.Following(None if is_first_process() else io.StringIO()) as progress:
            comparison = compare_methods(
                data,
                target=target,
                target_separator=target_separator,
                group=group,
                time=time,
                drop=drop or (),
                kinds=dict(_kind(text) for text in kinds or ()),
                missing=missing or (),
                encoding=encoding,
                vocab_size=vocab_size,
                min_count=min_count,
                context=context,
                methods=_names(methods),
                seeds=seeds,
                within=None if within is None else _seconds("within", within),
                margin=margin,
                epochs=epochs,
                budget=None if budget is None else _seconds("budget", budget),
                lr=lr,
                decide_by=decide_by,
                device=device,
                precision=cast("Any", precision),
                backbone=backbone,
                baseline=baseline,
                output=folder,
                keep_model=not no_model,
                progress=progress,
            )
        if not is_first_process():
            return
        terminal.show(comparison)
        terminal.show_files([*(folder / name for name in WRITERS), *([] if no_model else keep.found(folder))])


def predict(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a comparison, which kept a model.")],
    rows: Annotated[
        Path,
        typer.Argument(
            metavar="ROWS",
            help="A .csv, .tsv, .parquet or .jsonl file with the columns that the model was trained with, or an .npz "
            "file with X.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the answers go; default: standard output.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a file of text, such as cp1252; default: as it was then.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FACTORY", help="Your network before the head, where the comparison had one."),
    ] = None,
) -> None:
    """Answer to new rows with the model that compare kept: classes and probabilities as CSV."""
    with _one_sentence():
        from anymax.lab.errors import LabError
        from anymax.lab.model import predictions

    _import_from_here(backbone)
    with _one_sentence(LabError):
        answers, notes = predictions.predict(folder, rows, encoding=encoding, backbone=backbone)
        for note in notes:
            print(f"anymax: {printable(note)}", file=sys.stderr)
        if output is None:
            sys.stdout.buffer.write(answers)
            return
        try:
            write_whole(output, answers)
        except OSError as error:
            _stop(f"The answers cannot be written to {of_path(output)}: {error.strerror or error}.")


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a comparison.")],
) -> None:
    """Make report.html again from results.json."""
    with _one_sentence():
        from anymax.lab import storage
        from anymax.lab.errors import LabError
        from anymax.lab.report import page, terminal
        from anymax.lab.training.folder import REPORT, RESULTS

    with _one_sentence(LabError):
        comparison = storage.load(folder / RESULTS)
        try:
            page.write(comparison, folder / REPORT)
        except OSError as error:
            _stop(f"The report cannot be written to {of_path(folder)}: {error.strerror or error}.")
        terminal.show_files([folder / REPORT])


def bench(
    ops: Annotated[str | None, typer.Option(metavar="A,B", help="Ops to measure, with commas; default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few cases, in less than a minute.")] = False,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", min=0, help="Time for the rounds of one case; default: 1, quick 0.3.")
    ] = None,
    rivals: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Whom to measure beside anymax; default: torch,torch.compile,jax."),
    ] = None,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Measure no times but the errors of results, and write accuracy.md.")
    ] = False,
    output: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Where the results go, times in a folder named after the machine."),
    ] = Path("anymax-bench"),
) -> int:
    """Measure every op beside torch, torch.compile, JAX and a plain copy, after a check of its answers."""
    with _one_sentence():
        from anymax.bench import api, table
        from anymax.bench.errors import BenchError

    asked = _names(ops)
    if accuracy:
        with _one_sentence(BenchError):
            path = api.write_accuracy(output, asked, progress=lambda op: print(op, file=sys.stderr))
            print(printable(str(path)))
        return 0
    folder = api.folder_of(output)

    def interrupted() -> str:
        return f"what was measured stays in {of_path(folder / api.RESULTS)}"

    with _one_sentence(BenchError, interrupted=interrupted):
        results = api.bench(
            folder, ops=asked, quick=quick, seconds=seconds, rivals=_names(rivals), progress=table.follow
        )
    table.show(results)
    print(printable(str(folder)))
    return 0 if results.is_right else WRONG_ANSWER


def explain(arguments: list[str]) -> None:
    """Say and show what softmax along a dim normalises: which entries compete, and what sums to 1."""
    parser = _ExplainParser(
        "anymax explain SHAPE [--dim D] [--svg FILE] [--html FILE]\n"
        '       anymax explain CALL [--svg FILE] [--html FILE], such as "softmax(x: 2,8,128,128, dim=1)"',
        description=f"{explain.__doc__} SHAPE is that of the scores, such as 2,4,5. CALL is a call of softmax, "
        "softmin, log_softmax, gumbel_softmax, argmax or cross_entropy, with the shape of each tensor behind its name.",
    )
    parser.add_option("--dim", metavar="D", help='Such as 2, -1, 0,1 or "batch [class] w"; default: what torch takes.')
    parser.add_option("--svg", metavar="FILE", help="Where a picture goes.")
    parser.add_option("--html", metavar="FILE", help="Where a page goes, with sliders for shape, dim and temperature.")
    options, words = parser.parse_args(arguments)
    if not words:
        parser.error("Missing argument 'SHAPE'")
    text = " ".join(words)
    dim = None if options.dim is None else _dim(options.dim)
    asked = {kind: Path(path) for kind, path in (("svg", options.svg), ("html", options.html)) if path is not None}
    _check_files(list(asked.values()))
    with _one_sentence(IndexError, TypeError, ValueError):
        from anymax import explain as explanation

        found = explanation(text if "(" in text.lstrip("( [") else _shape(text), dim)
        files = {path: getattr(found, kind)().encode() for kind, path in asked.items()}
    for path, content in files.items():
        try:
            write_whole(path, content)
        except OSError as error:
            _stop(f"{of_path(path)} cannot be written: {error.strerror or error}.")
    print(found.coloured() if _shows_colours() else found)
    for path in files:
        print(f"\n{printable(str(path))}")


def _check_files(paths: list[Path]) -> None:
    """Files can go there: a folder that was made for a name with a slip in it would hide the slip."""
    for path in paths:
        # a path that is too long is no error here, as it is for Path.is_dir
        if not os.path.isdir(path.parent):
            _stop(f"The folder {of_path(path.parent)} does not exist.")
        if os.path.isdir(path):
            _stop(f"{of_path(path)} is a folder.")
    if len(set(paths)) < len(paths):
        _stop(f"--svg and --html both name {of_path(paths[0])}.")


def _shows_colours() -> bool:
    """Whether standard output is a terminal with colours whose user has not asked for none (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def check(arguments: list[str]) -> int:
    """Read code, without running it, and find softmaxes over the wrong axis and losses that get probabilities."""
    with _one_sentence():
        from anymax.inspect.check.main import main as check_code

        return check_code(arguments)


# The commands that need more than torch.
_OF_EXTRA: dict[str, Callable[..., Any]] = {"compare": compare, "predict": predict, "report": report, "bench": bench}


def _import_from_here(backbone: str | None) -> None:
    """Let a backbone of the user's be found in the folder that the command runs in, as python -m does.

    For an installed program the folder of its script stands there instead.
    """
    if backbone is not None and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


class _ExplainParser(optparse.OptionParser):
    """The standard library's, so that torch alone is enough; argparse would take the `-2,-1` of `--dim -2,-1` for an
    option."""

    def error(self, msg: str) -> NoReturn:
        _stop(f"{msg} (see anymax explain --help).")


def _shape(text: str) -> tuple[int, ...]:
    """The sizes in "2,4,5"."""
    sizes = text.strip("()[] ").removesuffix(",").split(",")
    if not all(size.strip().isdecimal() for size in sizes):
        raise ValueError(f"SHAPE must be sizes with commas between them, such as 2,4,5, got {quoted(text)}.")
    return tuple(int(size) for size in sizes)


def _dim(text: str) -> int | tuple[int, ...] | str:
    """An int, several with commas between them, or else a pattern."""
    try:
        return tuple(int(axis) for axis in text.split(",")) if "," in text else int(text)
    except ValueError:
        return text


def _names(text: str | None) -> list[str] | None:
    """The names in "a, b"; None where nothing was asked for."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _kind(text: str) -> tuple[str, str]:
    """Column and kind in "COLUMN=KIND"; a column's name may hold the sign too."""
    column, sign, kind = text.rpartition("=")
    if not (column and sign and kind):
        _stop(f"--as takes COLUMN=KIND, such as zip=category, got {quoted(text)}.")
    return column, kind


def _seconds(option: str, text: str) -> float:
    """The seconds in "90", "60s", "5m" or "1.5h"."""
    units = {"s": 1, "m": 60, "min": 60, "h": 3600}
    number = text.strip().rstrip("sminh")
    try:
        return float(number) * units[text.strip()[len(number) :] or "s"]
    except (ValueError, KeyError):
        _stop(f"--{option} takes a time such as 60s, 5m or 1h, got {quoted(text)}.")


def _flag(option: Option) -> str:
    """What is written on the command line for an argument of `compare`."""
    flag = {"data": "DATA", "kinds": "--as", "keep_model": "--no-model"}.get(
        option.name, f"--{option.name.replace('_', '-')}"
    )
    if option.value is None:
        return flag
    if option.name in ("methods", "target"):
        values = [option.value if isinstance(option.value, str) else ",".join(option.value)]
    elif option.name == "kinds":
        values = [f"{column}={kind}" for column, kind in option.value.items()]
    else:
        values = option.value if isinstance(option.value, list | tuple) else [option.value]
    return " ".join(f"{flag} {shlex.quote(shown(value, LONGEST_PATH))}" for value in values)


@contextmanager
def _one_sentence(
    *mistakes: type[Exception], interrupted: Callable[[], str] = lambda: "nothing was written"
) -> Iterator[None]:
    """Turn the user's mistakes, a missing package and Ctrl-C into one sentence and an exit status."""
    try:
        yield
    except mistakes as error:
        told = getattr(error, "told", None)  # errors of `compare` know which of its arguments they name
        _stop(told(_flag) if told else str(error))
    except KeyboardInterrupt:
        _stop(f"Interrupted; {interrupted()}.", INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "anymax":
            raise
        _stop(f"'{error.name}' is not installed; {INSTALL} brings it.")


def _stop(sentence: str, status: int = BAD_INPUT) -> NoReturn:
    # of several processes that torchrun started one speaks
    if os.environ.get("RANK", "0") == "0":
        print(f"anymax: {printable(' '.join(sentence.split()))}", file=sys.stderr)
    sys.exit(status)
