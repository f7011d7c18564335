"""The build of the CPU kernels, for hatchling: one shared library that needs neither torch nor its headers to build.

Each `cpu.cpp` and each `*.cpp` of `_core` and `noise` is compiled once for each instruction set, and `glue.cpp` picks
one of them when the library is loaded. Where there is no compiler, hatchling is asked for ziglang, which is one in a
wheel; without that, and with ANYMAX_NO_KERNELS=1, the package is built without kernels and runs on the reference.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, to build the library in place
    BuildHookInterface = object  # type: ignore[assignment, misc]

ROOT = Path(__file__).parent
NATIVE = Path("anymax/_core/native")
LIBRARY = NATIVE / "kernels.so"
# a compiler that pip can install, and where its wheels run
ZIGLANG = "ziglang==0.17.1"
# instruction sets in rising order, by the flag that asks a compiler for it
LEVELS = {
    "x86_64": {"v2": "-march=x86-64-v2", "v3": "-march=x86-64-v3", "v4": "-march=x86-64-v4 -mprefer-vector-width=512"},
    "aarch64": {"a1": "-march=armv8-a"},
}
FLAGS = (
    "-std=c++17 -O2 -fPIC -fvisibility=hidden -fno-exceptions -fno-rtti -fasynchronous-unwind-tables "
    # no vector of ours crosses a boundary between libraries; GCC 12 takes its own AVX-512 header to task
    "-fno-math-errno -fno-trapping-math -ffp-contract=fast -Wall -Wextra -Wno-psabi "
    "-Wno-maybe-uninitialized -Wno-unknown-warning-option"
)


def sources() -> dict[str, Path]:
    """Family name to source: `softmax` for anymax/ops/softmax/cpu.cpp, `random` for anymax/_core/random.cpp."""
    found = [*ROOT.glob("anymax/ops/*/cpu.cpp"), *ROOT.glob("anymax/_core/*.cpp"), *ROOT.glob("anymax/noise/*.cpp")]
    return {path.parent.name if path.stem == "cpu" else path.stem: path for path in sorted(found)}


def supported() -> bool:
    return sys.platform == "linux" and platform.machine() in LEVELS and not os.environ.get("ANYMAX_NO_KERNELS")


def compiler() -> list[str] | None:
    """The command of a C++ compiler: $CXX, c++, g++, clang++ or ziglang, whichever comes first."""
    if chosen := os.environ.get("CXX"):
        return shlex.split(chosen)
    for name in ("c++", "g++", "clang++"):
        if path := shutil.which(name):
            return [path]
    try:
        import ziglang  # noqa: F401
    except ImportError:
        return None
    # `c++` would build a C++ library first, which takes minutes, and the kernels need none
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{platform.machine()}-linux-gnu.2.17"]


def build(target: Path, command: Sequence[str], extra: Sequence[str] = ()) -> None:
    """Compile the library to `target`. Raises CalledProcessError with what the compiler said."""
    is_zig = "ziglang" in command
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        room = Path(folder)
        levels = LEVELS[platform.machine()]
        (room / "kernels.inc").write_text(_table(list(levels)))
        flags = [*FLAGS.split(), *extra]

        def compiled(name: str, source: Path, arguments: Sequence[str]) -> Path:
            result = room / f"{name}.o"
            _run([*command, *flags, *arguments, "-c", str(source), "-o", str(result)])
            return result

        jobs = []
        for level, march in levels.items():
            # zig writes x86_64_v3 where others write x86-64-v3
            chosen = march.replace("x86-64-", "x86_64_") if is_zig else march
            for family, source in sources().items():
                arguments = [*chosen.split(), f"-DISA={level}"]
                jobs.append(pool.submit(compiled, f"{family}_{level}", source, arguments))
        named = f'-DCOMPILER="{_version(command)}"'
        jobs.append(pool.submit(compiled, "glue", ROOT / NATIVE / "glue.cpp", [f"-I{room}", named]))
        objects = [str(job.result()) for job in jobs]

        # The loader matches the name of this empty library with the copy of torch's that the process has loaded.
        (room / "empty.c").write_text("")
        _run([*command, "-shared", "-o", f"{room}/libtorch_cpu.so", "-Wl,-soname,libtorch_cpu.so", f"{room}/empty.c"])
        torch = ["-Wl,--no-as-needed", f"-L{room}", "-ltorch_cpu", "-Wl,--as-needed"]
        library = room / "kernels.so"
        _run([*command, "-shared", *extra, *([] if extra else ["-s"]), *objects, *torch, "-o", str(library)])
        # at once, so that a process that loads the old one keeps it
        partial = target.with_suffix(".so.partial")
        shutil.copyfile(library, partial)
        partial.replace(target)


def _table(levels: Sequence[str]) -> str:
    """What glue.cpp includes: the functions that every source has, and a table of them by instruction set."""
    lines = []
    for level in levels:
        names = [f"anymax_{family}_{level}(library)" for family in sources()]
        lines += [f'extern "C" int32_t {name.replace("library", "LibraryHandle library")};' for name in names]
        lines.append(f"static int32_t add_{level}(LibraryHandle library) {{ return {' | '.join(names)}; }}")
    rows = ", ".join(f'{{"{level}", add_{level}}}' for level in levels)
    return "\n".join([*lines, f"static const Level LEVELS[] = {{{rows}}};", ""])


def _version(command: Sequence[str]) -> str:
    words = _run([*command, "--version"]).splitlines()[0].replace('"', "").replace("\\", "")
    return f"ziglang, {words}" if "ziglang" in command else words


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class KernelsHook(BuildHookInterface):  # type: ignore[misc, valid-type]
    """Puts the library into wheels, and beside the sources in an editable install."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [ZIGLANG] if self.target_name == "wheel" and supported() and compiler() is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        command = compiler() if self.target_name == "wheel" and supported() else None
        if command is None:
            return
        target = ROOT / LIBRARY
        if version != "editable":
            self.folder = tempfile.TemporaryDirectory()
            target = Path(self.folder.name) / LIBRARY.name
        try:
            build(target, command)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            self.app.display_warning(f"anymax is built without CPU kernels, since {shlex.join(command)} failed: {said}")
            return
        if version != "editable":
            build_data["force_include"][str(target)] = str(LIBRARY)
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{re.sub(r'[^a-z0-9]', '_', f'linux_{platform.machine()}')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()


if __name__ == "__main__":
    found = compiler()
    if found is None:
        sys.exit("no C++ compiler was found: install g++ or clang, or `pip install ziglang`")
    try:
        build(ROOT / LIBRARY, found, sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)
