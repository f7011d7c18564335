"""The peak of a step: hand-computed, and not that of what ran before."""

import subprocess
import sys

import pytest
import torch

from anymax._core.memory import peak_of_step

CPU = torch.device("cpu")


def a_step(rows, classes):
    """Linear cross-entropy on (rows, 8) features: scores and their gradient are nearly all that it holds."""
    features = torch.randn(rows, 8)
    weight = torch.randn(classes, 8, requires_grad=True)
    target = torch.zeros(rows, dtype=torch.long)

    def step():
        weight.grad = None
        torch.nn.functional.cross_entropy(features @ weight.T, target).backward()

    return step


def test_the_peak_is_that_of_scores_log_probabilities_and_their_gradient():
    rows, classes = 256, 4096
    matrix = 4 * rows * classes
    # log_softmax keeps its result; the scores live while it is made, the gradient of the scores after it
    assert 2 * matrix <= peak_of_step(a_step(rows, classes), CPU) <= 3.2 * matrix


def test_a_small_step_after_a_large_one_shows_its_own_peak():
    large, small = a_step(512, 4096), a_step(32, 256)
    first = peak_of_step(large, CPU)
    assert peak_of_step(small, CPU) < first / 50
    assert peak_of_step(large, CPU) == pytest.approx(first, rel=0.05)


def test_what_lived_before_does_not_count():
    step = a_step(64, 256)
    step()
    before = peak_of_step(step, CPU)
    held = torch.zeros(1 << 22)
    assert peak_of_step(step, CPU) == pytest.approx(before, rel=0.05)
    assert peak_of_step(lambda: torch.zeros(1 << 20), CPU) == 4 << 20
    del held


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_peak_on_cuda_is_that_of_the_step():
    device = torch.device("cuda")
    held = torch.zeros(1 << 22, device=device)
    assert peak_of_step(lambda: torch.zeros(1 << 20, device=device), device) == 4 << 20
    del held


def test_measuring_prints_nothing(tmp_path):
    # in a process of its own: the profiler asks once how much it shall say
    program = (
        "import torch; from anymax._core.memory import peak_of_step\n"
        "assert peak_of_step(lambda: torch.ones(1000).sum(), torch.device('cpu')) >= 4000"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_garbage_of_what_ran_before_is_not_freed_within(tmp_path):
    # two tensors in a circle, which only a collection frees; the profiler would warn of them
    program = (
        "import gc, torch; from anymax._core.memory import peak_of_step\n"
        "gc.disable(); circle = [torch.ones(1000)]; circle.append(circle); del circle; gc.enable()\n"
        "peak_of_step(lambda: [[] for _ in range(100_000)], torch.device('cpu'))\n"
        "assert gc.isenabled()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
