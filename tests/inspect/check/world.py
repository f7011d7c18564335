"""Real code, as a test of `anymax check`: `make check-world` fetches packages and shows what is found in them.

    python -m tests.inspect.check.world build/world

The packages are pinned, fetched without what they depend on, unpacked and read; nothing of them is installed or run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "torchmetrics==1.9.0",
    "torchvision==0.29.1",
    "timm==1.0.31",
    "torch_geometric==2.8.1",
    "transformers==5.24.0",
)


def fetched(pinned: str, folder: Path) -> Path:
    """The folder with the sources of a package, which is there already or fetched from the registry that pip uses."""
    name = pinned.partition("==")[0]
    if not (folder / name).is_dir():
        wheels = folder / "wheels"
        command = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), pinned]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        (wheel,) = wheels.glob(f"{name}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            sources = [member for member in archive.namelist() if member.startswith(f"{name}/")]
            archive.extractall(folder, sources)
    return folder / name


def found_in(package: Path) -> tuple[list[dict], str, float]:
    """What `anymax check` finds, what it says of files that it did not read, and its seconds."""
    command = [sys.executable, "-m", "anymax", "check", "--output-format", "json", package.name]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=package.parent, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode not in (0, 1):
        raise SystemExit(f"anymax check ended with {done.returncode} on {package.name}: {done.stderr}")
    return json.loads(done.stdout), done.stderr, seconds


def report(folder: Path) -> Iterator[str]:
    """A row for each package, then each finding with its line."""
    yield "| package | files | seconds | error | warning | info | not read |"
    yield "|---|---|---|---|---|---|---|"
    findings = []
    for pinned in PACKAGES:
        package = fetched(pinned, folder)
        found, unread, seconds = found_in(package)
        findings += found
        levels = Counter(each["level"] for each in found)
        counts = (levels["error"], levels["warning"], levels["info"], len(unread.splitlines()))
        files = sum(1 for _ in package.rglob("*.py"))
        yield f"| {pinned.replace('==', ' ')} | {files:,} | {seconds:.0f} | {' | '.join(map(str, counts))} |"
    yield ""
    for each in findings:
        row = each["location"]["row"]
        line = (folder / each["filename"]).read_text(encoding="utf-8").splitlines()[row - 1].strip()
        yield f"{each['filename']}:{row}: {each['level']} {each['code']} {line}\n    {each['message']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the packages are kept")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for line in report(folder):
        print(line, flush=True)


if __name__ == "__main__":
    main()
