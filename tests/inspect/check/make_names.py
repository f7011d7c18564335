"""Makes the table of names that torch and Lightning have, of the versions that are installed here: `make names`."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator
from importlib.metadata import version

from anymax.inspect.check.library import TABLE

# The modules whose names users write, and which have the same ones on every platform and in every build.
TORCH = (
    "torch",
    "torch.amp",
    "torch.autograd",
    "torch.autograd.functional",
    "torch.cuda.amp",
    "torch.distributions",
    "torch.fft",
    "torch.func",
    "torch.functional",
    "torch.linalg",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.nn.modules",
    "torch.nn.modules.activation",
    "torch.nn.modules.loss",
    "torch.nn.parallel",
    "torch.nn.parameter",
    "torch.nn.utils",
    "torch.nn.utils.rnn",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.special",
    "torch.utils",
    "torch.utils.checkpoint",
    "torch.utils.data",
)
LIGHTNING = (
    "callbacks",
    "core",
    "loggers",
    "loops",
    "plugins",
    "plugins.precision",
    "profilers",
    "strategies",
    "trainer",
    "tuner",
    "utilities",
)


def lines() -> Iterator[str]:
    """The table: the versions, then a module and its names on each line."""
    torch = version("torch").partition("+")[0]
    yield f"# torch {torch}, lightning {version('lightning')}: made by `make names`"
    packages = ("lightning.pytorch", "pytorch_lightning")
    lightning = [package + part for package in packages for part in ("", *(f".{name}" for name in LIGHTNING))]
    for module in [*TORCH, "lightning", *lightning]:
        yield " ".join([module, *names_of(module)])


def names_of(name: str) -> list[str]:
    """What can be asked for in a module: its attributes, and its submodules, whether imported or not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module(name)
    submodules = (found.name for found in pkgutil.iter_modules(getattr(module, "__path__", ())))
    # what torch gives with a warning is no attribute until it is asked for
    deprecated = getattr(module, "_deprecated_attrs", ())
    return sorted({each for each in (*dir(module), *submodules, *deprecated) if not each.startswith("_")})


if __name__ == "__main__":
    TABLE.write_text("\n".join(lines()) + "\n", encoding="utf-8")
