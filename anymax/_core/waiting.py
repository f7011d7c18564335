"""How `anymax/__init__.py` waits for torch: its imports run when a name is asked for, or when torch is imported."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from threading import RLock
from types import ModuleType
from typing import Any


def wait(package: ModuleType) -> None:
    """Let the names that a package lists in `__all__` come when one is asked for, and all of them with torch."""
    waiting = _Waiting(package)

    def __getattr__(name: str) -> Any:
        if name in package.__all__:
            waiting.load()
            if name in vars(package):
                return vars(package)[name]
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*vars(package), *package.__all__})

    vars(package).update(__getattr__=__getattr__, __dir__=__dir__)
    sys.meta_path.insert(0, waiting)  # pyright: ignore[reportArgumentType]


class _Waiting:
    """A finder that leaves finding to the others, and notices where an import of torch or of a part of anymax ends.

    Where that import is not inside another such one, and torch is there, the package is executed again, now with its
    imports. Inside another one it would be too early: a part of anymax begins with `import torch`, and holds nothing
    yet of what the package imports from it.
    """

    def __init__(self, package: ModuleType) -> None:
        self._package = package
        self._depth = 0
        self._lock = RLock()
        self._is_loading = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torch" and not name.startswith(f"{self._package.__name__}."):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((spec for finder in others if (spec := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            self._notice_end(spec.loader)
        return spec

    def _notice_end(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the module keeps its loader, as it was
            self._depth += 1
            try:
                execute(module)
            finally:
                self._depth -= 1
            if self._depth == 0 and sys.modules.get("torch"):
                self._load_beside()

        loader.exec_module = exec_module

    def _load_beside(self) -> None:
        """Load at the end of an import of which others wait for the end, so without waiting for them."""
        if not self._lock.acquire(blocking=False):
            return  # another thread does it
        try:
            self.load()
        except Exception as error:
            # who imports torch gets torch; who asks for a name of ours gets the error
            warnings.warn(f"anymax cannot be used with this torch: {error}", RuntimeWarning, stacklevel=2)
        finally:
            self._lock.release()

    def load(self) -> None:
        """Execute the package again, with torch, and wait no longer."""
        import torch  # noqa: F401  # before the lock, since another thread may be at the end of this import

        with self._lock:
            # the package's own imports ask it for its names
            if self._is_loading or "__getattr__" not in vars(self._package):
                return
            self._is_loading = True
            # what someone has put in the place of a name stays there
            put = {name: vars(self._package)[name] for name in self._package.__all__ if name in vars(self._package)}
            if self in sys.meta_path:
                sys.meta_path.remove(self)  # pyright: ignore[reportArgumentType]
            try:
                self._package.__spec__.loader.exec_module(self._package)  # pyright: ignore[reportOptionalMemberAccess]
                vars(self._package).update(put)
                del self._package.__getattr__, self._package.__dir__
            finally:
                self._is_loading = False
