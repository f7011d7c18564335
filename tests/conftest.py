import gc
import os
import tempfile
from pathlib import Path

# The suite compiles into a folder of its own, so that nobody who compiles or tidies up elsewhere disturbs a run. It is
# set before torch is imported, and the environment hands it on to test processes and to what they start.
CACHE = Path(__file__).parents[1] / ".inductor_cache"
os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(CACHE)
# torch keeps precompiled C++ headers below the temporary folder, wherever its cache is
# (_HEADER_DIR in torch/_inductor/codecache.py), and every later kernel needs them.
(CACHE / "tmp").mkdir(parents=True, exist_ok=True)
os.environ["TMPDIR"] = str(CACHE / "tmp")
tempfile.tempdir = None  # pytest has asked for the temporary folder already

import torch  # noqa: E402

# One test process per core: more threads inside each would only wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: a garbage collection need not look through it each time."""
    gc.collect()
    gc.freeze()
