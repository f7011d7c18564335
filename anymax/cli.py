"""The command line: `anymax compare DATA` and `anymax explain SHAPE --dim D`.

Whatever is wrong with a request is one sentence on standard error and exit status 2; nothing is written then.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, cast

from anymax import __version__

if TYPE_CHECKING:
    import typer

    from anymax.lab.results import Comparison
else:
    try:
        import typer
    except ImportError:  # torch alone was installed; main() says so
        typer = None

INSTALL = 'pip install "anymax[lab]"'
BAD_INPUT = 2
INTERRUPTED = 130
# More than the results of a long comparison take: a full disk is noticed before training.
ROOM = 1 << 23
RESULTS, REPORT = "results.json", "report.html"


def main() -> None:
    """The program `anymax`."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal without some letter gets a question mark, not a traceback.
        stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    if typer is None:
        _stop(f"The command line needs more than torch; {INSTALL} brings it.")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(program)
    app.command()(compare)
    app.command()(explain)
    # The class of every complaint about the command line itself; where typer keeps it depends on its version.
    usage_error = cast("type[typer.BadParameter]", typer.BadParameter.__base__)
    try:
        status = app(standalone_mode=False)
    except usage_error as error:
        _stop(f"{error.format_message().rstrip('.')} (see anymax --help).")
    sys.exit(status if isinstance(status, int) else 0)


def program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Everything between scores and probabilities in PyTorch."""
    if version:
        print(f"anymax {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def compare(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="digits, wine, breast-cancer, pydoc, or a .csv file with --target.")
    ],
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that holds the classes.")] = None,
    methods: Annotated[
        str | None, typer.Option(metavar="A,B", help="Methods to compare, with commas; default: all that fit.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Number of repeats; default: 10, or 3 if slow.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="The most epochs of one training.")] = None,
    lr: Annotated[
        float | None, typer.Option(metavar="X", help="The learning rate; default: the best of three, per method.")
    ] = None,
    decide_by: Annotated[
        str | None, typer.Option(metavar="M", help="The measure that decides, such as top1, macro_f1 or nll.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder for the results; default: anymax-DATA.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="D", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Train every output head on the same features and say which to take, and why."""
    command: dict[str, Any] = {
        "data": data,
        "target": target,
        "methods": methods,
        "seeds": seeds,
        "epochs": epochs,
        "lr": lr,
        "decide_by": decide_by,
        "device": device,
    }
    from anymax.lab.errors import LabError

    with _one_sentence(LabError):
        # All that the end needs too: a missing package must not come out after the training.
        from anymax.lab import report, results, terminal
        from anymax.lab.data import load
        from anymax.lab.run import run
        from anymax.lab.verdict import judge

        dataset = load(data, target=target)
        folder = output or Path(f"anymax-{Path(data).stem}")
        _check_folder(folder, command)
        with terminal.Following() as progress:
            comparison = run(
                dataset,
                methods=None if methods is None else [name.strip() for name in methods.split(",") if name.strip()],
                repeats=seeds,
                epochs=epochs,
                learning_rate=lr,
                decide_by=decide_by,
                device=device,
                progress=progress,
            )
        comparison.asked = command
        comparison.verdict = judge(comparison)
        terminal.show(comparison)
        writers = {RESULTS: results.save, REPORT: report.write}
        terminal.show_files(_write(comparison, folder, writers))


def explain(
    shape: Annotated[str, typer.Argument(metavar="SHAPE", help="The shape of the scores, such as 2,4,5.")],
    dim: Annotated[str, typer.Option(metavar="D", help='Such as 2, -1, 0,1 or "batch [class] w".')],
) -> None:
    """Say what softmax along a dim normalises: which entries compete, and what sums to 1."""
    with _one_sentence(IndexError, TypeError, ValueError):
        from anymax import explain as explanation

        print(explanation(_shape(shape), _dim(dim)))


def _shape(text: str) -> tuple[int, ...]:
    """The sizes in "2,4,5"."""
    sizes = text.strip("()[] ").removesuffix(",").split(",")
    if not all(size.strip().isdecimal() for size in sizes):
        raise ValueError(f"SHAPE must be sizes with commas between them, such as 2,4,5, got '{text}'.")
    return tuple(int(size) for size in sizes)


def _dim(text: str) -> int | tuple[int, ...] | str:
    """An int, several with commas between them, or else a pattern."""
    try:
        return tuple(int(axis) for axis in text.split(",")) if "," in text else int(text)
    except ValueError:
        return text


def _check_folder(folder: Path, command: dict[str, Any]) -> None:
    """Stop before any training where the results could not be written, or would replace those of another command."""
    try:
        if folder.exists() and not folder.is_dir():
            _stop(f"'{folder}' is a file; --output names a folder.")
        if any((folder / name).exists() for name in (RESULTS, REPORT)) and _command_of(folder / RESULTS) != command:
            _stop(f"'{folder}' holds the results of another command; name another folder with --output.")
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=nearest) as probe:
            probe.write(bytes(ROOM))
    except OSError as error:
        _cannot_write(folder, error)


def _command_of(results: Path) -> dict[str, Any] | None:
    """The command that wrote this file, or None where it does not say."""
    try:
        return json.loads(results.read_text(encoding="utf-8"))["asked"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(comparison: Comparison, folder: Path, writers: dict[str, Callable[[Comparison, Path], None]]) -> list[Path]:
    """Let each writer write its file into `folder`, all of them or none."""
    files = [folder / name for name in writers]
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".anymax-", dir=folder) as staging:
            for name, write in writers.items():
                write(comparison, Path(staging, name))
            for file in files:
                Path(staging, file.name).replace(file)
    except OSError as error:
        _cannot_write(folder, error)
    finally:
        if made:
            with suppress(OSError):  # it holds the results
                folder.rmdir()
    return files


def _cannot_write(folder: Path, error: OSError) -> NoReturn:
    _stop(f"The results cannot be written to '{folder}': {error.strerror or error}.")


@contextmanager
def _one_sentence(*mistakes: type[Exception]) -> Iterator[None]:
    """Turn the user's mistakes, a missing package and Ctrl-C into one sentence and an exit status."""
    try:
        yield
    except mistakes as error:
        _stop(str(error))
    except KeyboardInterrupt:
        _stop("Interrupted; nothing was written.", INTERRUPTED)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "anymax":
            raise
        _stop(f"'{error.name}' is not installed; {INSTALL} brings it.")


def _stop(sentence: str, status: int = BAD_INPUT) -> NoReturn:
    print(f"anymax: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(status)
