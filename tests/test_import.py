"""`import anymax` waits for torch: quick where torch is not needed, and as if imported at once where it is."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import anymax

ROOT = Path(__file__).parent.parent


def run(code: str, *arguments: str) -> str:
    """What a program prints in a process of its own, whose warnings are errors but for torch's about NumPy."""
    options = ["-Werror", "-Wignore:Failed to initialize NumPy:UserWarning", "-Wignore::DeprecationWarning"]
    options += ["-Wignore::FutureWarning"]
    done = subprocess.run([sys.executable, *options, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_torch_is_not_imported_before_it_is_needed():
    code = """
import sys, anymax
print(anymax.__version__, {*anymax.__all__} <= {*dir(anymax)}, "torch" in sys.modules)
anymax.softmax
print({*anymax.__all__} <= {*dir(anymax)}, "torch" in sys.modules)
"""
    assert run(code) == f"{anymax.__version__} True False\nTrue True"


def test_all_names_are_there_whoever_comes_first():
    """anymax, its names, a part of it, and a private part that names are imported from: all import torch themselves."""
    code = """
import json, sys
exec(sys.argv[1])
import anymax
print(json.dumps([all(hasattr(anymax, name) for name in anymax.__all__), len(anymax.__all__)]))
print(any("waiting" in type(finder).__module__ for finder in sys.meta_path), "__getattr__" in vars(anymax))
"""
    for first in (
        "import anymax, torch",
        "from anymax import *",
        "import anymax.nn",
        "from anymax._core.dims import resolve; import anymax.lab",
    ):
        assert run(code, first) == f"[true, {len(anymax.__all__)}]\nFalse False", first


def test_what_is_put_in_the_place_of_a_name_stays_there():
    code = "import anymax; anymax.softmax = 'mine'; import torch; print(anymax.softmax, anymax.softmin.__name__)"
    assert run(code) == "mine softmin"


def test_a_name_that_is_not_there_imports_nothing():
    code = """
import sys, anymax
try:
    anymax.sotfmax
except AttributeError as error:
    print(error, "torch" in sys.modules)
print(hasattr(anymax, "__path__"), hasattr(anymax, "__wrapped__"))
"""
    assert run(code) == "module 'anymax' has no attribute 'sotfmax' False\nTrue False"


def test_every_public_name_is_one_of_the_imports():
    assert [name for name in anymax.__all__ if not hasattr(anymax, name)] == []


@pytest.mark.parametrize("imports", ["import anymax\nimport torch", "import torch\nimport anymax"])
def test_an_exported_program_with_our_ops_loads_after_a_bare_import(tmp_path, imports):
    class Model(torch.nn.Module):
        def forward(self, x):
            return anymax.gumbel_softmax(x, dim=1)

    program = torch.export.export(Model(), (torch.randn(2, 3),))
    assert "torch.ops.anymax.draw_seed" in str(program.graph)
    torch.export.save(program, tmp_path / "model.pt2")
    code = f"{imports}\nimport sys\nprint(torch.export.load(sys.argv[1]).module()(torch.zeros(2, 3)).sum().round())"
    assert run(code, str(tmp_path / "model.pt2")) == "tensor(2.)"


def test_the_import_of_torch_is_torchs_own():
    """Looking for torch does not import it, and what is imported has the loader that it would have had."""
    code = """
import anymax, importlib.util, sys
print(importlib.util.find_spec("torch").name, "torch" in sys.modules)
import torch
loader = torch.__spec__.loader
print(type(loader).__name__, loader is torch.__loader__, "exec_module" in vars(loader), hasattr(torch, "Tensor"))
"""
    assert run(code) == "torch False\nSourceFileLoader True False True"


def test_compiled_code_finds_functions_classes_and_inner_imports():
    code = """
import anymax
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.map = anymax.nn.Softmax(dim=1)
    def forward(self, x):
        return self.map(x)

def inner(x):
    from anymax import softmax
    return softmax(x, 1)

x = torch.arange(6.).reshape(2, 3)
for function in (lambda x: anymax.softmax(x, 1), Model(), inner):
    print(torch.allclose(torch.compile(function, fullgraph=True, backend="eager")(x), torch.softmax(x, 1)))
"""
    assert run(code) == "True\nTrue\nTrue"


def test_threads_that_ask_at_once_all_get_the_name():
    code = """
import sys, threading
import anymax
sys.setswitchinterval(1e-5)
found = []
def ask(name):
    found.append(getattr(anymax, name) is not None)
def bring():
    import torch
    found.append(True)
threads = [threading.Thread(target=ask, args=(name,)) for name in ("softmax", "nn", "noise", "explain")]
threads += [threading.Thread(target=bring) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found)
"""
    assert run(code) == str([True] * 6)


def test_without_torch_the_names_are_listed_and_asking_says_what_is_missing():
    code = """
import sys
sys.modules["torch"] = None
import anymax
print("softmax" in dir(anymax))
try:
    anymax.softmax
except ImportError as error:
    print(error.name)
"""
    assert run(code) == "True\ntorch"


def test_who_imports_torch_gets_torch_where_anymax_cannot_be_used():
    code = """
import sys, warnings
import anymax
sys.modules["anymax._core.dispatch"] = None
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
print(hasattr(torch, "Tensor"), [str(each.message)[:38] for each in caught if each.category is RuntimeWarning])
try:
    anymax.softmax
except ImportError:
    print("refused")
"""
    assert run(code) == "True ['anymax cannot be used with this torch:']\nrefused"


PROGRAM = "import sys; from anymax.cli import main; sys.argv[0] = 'anymax'; main()"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["explain", "--help"], ["check", "--help"], ["check", "anymax/cli.py"]]
)
def test_commands_that_need_neither_torch_nor_typer_import_neither(arguments):
    ending = "import atexit, sys; atexit.register(lambda: print({'torch', 'typer', 'numpy'} & {*sys.modules}))"
    assert run(f"{ending}\n{PROGRAM}", *arguments).endswith("set()")


def cpu_time(*arguments: str) -> float:
    """Seconds of CPU that the program takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("arguments", [["check", "anymax/cli.py"], ["explain", "--help"]])
def test_the_commands_without_torch_start_at_once(arguments):
    # what else runs on the machine only adds to it
    assert any(cpu_time("-c", PROGRAM, *arguments) < 0.3 for _ in range(20))


def test_python_m_anymax_is_the_program():
    assert run("import runpy, sys; sys.argv = ['anymax', '--version']; runpy.run_module('anymax', run_name='__main__')")
    done = subprocess.run([sys.executable, "-m", "anymax", "--help"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert "\n  check " in done.stdout


def test_type_checkers_know_every_name(tmp_path):
    """Types of `from anymax import *` and of attributes, and that a name is not there."""
    code = tmp_path / "code.py"
    names = "".join(f"{name}\n" for name in anymax.__all__)
    code.write_text(
        f"from anymax import *\nimport anymax\n{names}"
        "reveal_type(softmax)\nreveal_type(anymax.nn.Softmax)\nanymax.sotfmax\n"
    )
    # the folder of the tests' files begins with a dot, which pyright would leave out
    config = {"exclude": [], "extraPaths": [str(ROOT)], "reportUnusedExpression": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    messages = [(each["severity"], each["message"]) for each in json.loads(done.stdout)["generalDiagnostics"]]
    assert [severity for severity, _ in messages] == ["information", "information", "error"], messages
    assert 'Type of "softmax" is "(input: Tensor, dim:' in messages[0][1]
    assert 'Type of "anymax.nn.Softmax" is "type[Softmax]"' in messages[1][1]
    assert '"sotfmax" is not a known attribute' in messages[2][1]
