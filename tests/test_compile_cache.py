"""What the suite compiles lies in its own checkout."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
# the compiled code, and the precompiled headers that torch keeps below the temporary folder
PRINT_FOLDERS = """
from torch._inductor import codecache
print(codecache.cache_dir(), codecache._HEADER_DIR, sep="\\n")
"""


def test_this_process_compiles_into_the_checkout():
    from torch._inductor import codecache  # seconds, and needed here only

    assert Path(codecache.cache_dir()).is_relative_to(CHECKOUT)
    assert Path(codecache._HEADER_DIR).is_relative_to(CHECKOUT)


def test_a_process_that_a_test_starts_compiles_into_the_checkout(tmp_path):
    command = [sys.executable, "-c", PRINT_FOLDERS]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    cache, headers = map(Path, output.splitlines())
    assert cache.is_relative_to(CHECKOUT)
    assert headers.is_relative_to(CHECKOUT)
