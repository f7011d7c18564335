"""The kernels of every instruction set that this processor has: tests of theirs once more, for each set but the best.

The best one is what all other tests run with.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from anymax._core.native import native

if native.level is None:
    pytest.skip(f"no kernels: {native.missing}", allow_module_level=True)

TESTS = Path(__file__).parents[1]
# by file, words of the names of its tests
CHOSEN = {
    "_core/test_random_cpu.py": "reference",
    "ops/test_binary_cpu.py": "size or layout or extreme or bits or past or one_vs_rest or focal",
    "ops/test_cross_entropy_cpu.py": "length or layout or extreme or alone or blocks",
    "ops/test_entmax_cpu.py": "a_few_lengths",
    "ops/test_entropy_cpu.py": "length or layout or extreme or alone or blocks or digits",
    "ops/test_gumbel_cpu.py": "a_few_lengths",
    "ops/test_rectified_cpu.py": "length or extreme or roundings or share",
    "ops/test_softmax_cpu.py": "length or layout or extreme or alone or parts",
    "ops/test_truncation_cpu.py": "a_few_lengths",
}


@pytest.mark.parametrize("level", native.levels[:-1])
def test_every_instruction_set_gives_the_same_answers(level):
    """In one process for all, since each would import torch and collect anew."""
    words = " or ".join(f"({Path(file).name} and ({words}))" for file, words in CHOSEN.items())
    command = [sys.executable, "-m", "pytest", "-n", "0", "-v", *(str(TESTS / file) for file in CHOSEN), "-k", words]
    done = subprocess.run(
        command,
        env={**os.environ, "ANYMAX_INSTRUCTION_SET": level},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    for file in CHOSEN:
        assert f"tests/{file} " in done.stdout, f"no test of {file} is chosen"
