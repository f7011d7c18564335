"""What a run computes on: device, precision and processes, threads, and which versions of what."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.single_device import SingleDeviceStrategy

from anymax._core.sentences import detail, quoted
from anymax.lab.errors import OptionError
from anymax.lab.measure import Task
from anymax.lab.options import Precision

T = TypeVar("T")
PACKAGES = ("anymax", "torch", "lightning-fabric", "scikit-learn", "numpy", "pandas")


def is_first_process() -> bool:
    """Whether this process reports: the only one, or the first that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def launch(device: str, precision: Precision, *, own_backbone: bool) -> Fabric:
    """The device and precision of the training steps, with as many processes as torchrun started.

    Args:
        device: "auto", "cpu", "cuda" or another accelerator name that Lightning Fabric knows.
        precision: a name that Lightning Fabric knows.
        own_backbone: whether the backbone is the user's.

    Raises:
        OptionError: the device is not there, or cannot compute in this precision.
    """
    # torchrun's words for how many processes there are
    world, here = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    # a parameter that no output depends on would stop the processes; the built-in backbones have none
    strategy = "auto" if world == 1 else "ddp_find_unused_parameters_true" if own_backbone else "ddp"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*AMP with fp16 is not supported on CPU")  # refused below
            fabric = Fabric(
                accelerator=device, devices=here, num_nodes=world // here, strategy=strategy, precision=precision
            )
        fabric.launch()
    except Exception as error:  # Fabric raises three kinds for one mistake
        raise OptionError(
            f"Device {quoted(device)} is not available here ({detail(error)}): expected auto, cpu or cuda."
        ) from None
    if precision == "16-mixed" and fabric.device.type == "cpu":
        raise OptionError("Precision '16-mixed' needs an accelerator: expected bf16-mixed on a CPU.")
    return fabric


def alone(device: str, precision: Precision) -> Fabric:
    """A device and precision for this process by itself, also where torchrun started others.

    Args:
        device: as torch names it; the CPU where this machine has no such device.
        precision: a name that Lightning Fabric knows.
    """
    there = device == "cpu" or torch.accelerator.is_available()
    return Fabric(strategy=SingleDeviceStrategy(torch.device(device if there else "cpu")), precision=precision)


def everywhere(fabric: Fabric, work: Callable[[], T]) -> T:
    """What the first of all processes comes to, which alone does the work."""
    return fabric.broadcast(work() if fabric.is_global_zero else None)  # type: ignore[return-value]


@contextlib.contextmanager
def threads(task: Task) -> Iterator[None]:
    """Compute with as many threads inside as pay, also where the machine is busy.

    The layers for tables are too small to be shared: a second thread gains nothing on an idle machine and makes a
    step three times slower on a busy one (measured on `digits` with two cores). Text takes half the cores, since
    each step waits for its slowest thread (`pydoc` on two cores: 2.4 s an epoch with both, 2.6 s with one).
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if task != "text" else max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}


def described(fabric: Fabric) -> dict[str, str | int | None]:
    """The machine, for a reader of the results."""
    device = fabric.device
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        **({"accelerator": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}),
    }
