"""Where it was measured: processor, instruction sets, versions, and how busy the machine was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

from anymax import backends

PACKAGES = ("anymax", "torch", "numpy", "jax", "jaxlib", "optax")
CPU_INFO = Path("/proc/cpuinfo")


def described() -> dict[str, Any]:
    kernels = backends()[1]
    return {
        "processor": _processor(),
        "cores": cores(),
        "system": platform.platform(),
        "instruction_set": kernels.instruction_set,
        "compiler": kernels.compiler,
        "kernels_missing": kernels.missing,
        "instruction_set_of_torch": torch.backends.cpu.get_cpu_capability(),
    }


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    if CPU_INFO.exists() and (found := re.search(r"^model name\s*: (.+)$", CPU_INFO.read_text(), re.MULTILINE)):
        return found[1].strip()
    return platform.processor() or platform.machine()


def folder_name(machine: dict[str, Any]) -> str:
    """Processor and cores as the name of a folder, such as amd-epyc-2-cores."""
    processor = re.sub(r"\((r|tm)\)", "", machine["processor"].lower())
    return "-".join([*re.findall(r"[a-z0-9]+", processor), str(machine["cores"]), "cores"])


def versions() -> dict[str, str]:
    """Of Python and of what is installed of the packages that a time may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def load() -> float | None:
    """How many processes wanted to run, on average over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
