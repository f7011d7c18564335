"""For Lightning, as `lightning` or `pytorch-lightning`, whichever is installed."""

from __future__ import annotations

from typing import Any

from anymax.inspect.check.findings import Finding
from anymax.inspect.watching import Watch, watch

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

__all__ = ["WatchCallback"]


class WatchCallback(Callback):  # pyright: ignore[reportGeneralTypeIssues]: either of two, which need not be there
    """Watch the first steps of each fit, as :func:`anymax.watch` does: `Trainer(callbacks=[WatchCallback()])`.

    A step is a `backward()`, so with `accumulate_grad_batches` each batch is one. The check of the validation loop that
    Lightning makes first is not watched.

    Args:
        steps: how many steps are watched.

    Attributes:
        watch: the watch of the last fit, None before the first; `print(callback.watch)` is its report.
        findings: what it has found.
    """

    def __init__(self, steps: int = 10) -> None:
        super().__init__()
        # wrong steps are an error here and not in the middle of a fit
        watch(steps)
        self.steps = steps
        self.watch: Watch | None = None

    @property
    def findings(self) -> list[Finding]:
        return [] if self.watch is None else self.watch.findings

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.watch = watch(self.steps)
        self.watch.__enter__()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.watch is not None:
            self.watch.stop()
