"""AMX401: names that torch or Lightning does not have."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from anymax.inspect.check import library
from anymax.inspect.check.names import Names
from anymax.inspect.check.rules import all_rules, run
from anymax.inspect.check.seen import Seen
from anymax.inspect.check.sources import Source


def found(code):
    source = Source("code.py", code, ast.parse(code))
    return run(Seen(source, Names(source.tree)), [all_rules()["AMX401"]])


MISSING = {
    "import torch.nn.functional as F\nF.nce_loss(logits, labels)": (2, 1, "error", "Write anymax.nce_loss(features, "),
    "from torch.nn.functional import softmax, nce_loss": (1, 42, "error", "`torch.nn.functional.nce_loss`"),
    "from torch import nn\nloss = nn.NCELoss()": (2, 8, "error", "Write anymax.nn.NCELoss(anymax.noise.Unigram("),
    "import torch\ntorch.nn.NCELoss()": (2, 1, "error", "torch 2.13.0 has no `torch.nn.NCELoss`"),
    "from pytorch_lightning.plugins import GumbelSoftmax": (1, 39, "error", "torch.nn.functional.gumbel_softmax("),
    "import lightning.pytorch as pl\npl.plugins.GumbelSoftmax": (2, 1, "error", "lightning 2.6.6 has no"),
    "import torch.nn as nn\nnn.SoftMax(dim=1)": (2, 1, "warning", "The name is written `Softmax`"),
    "import torch.nn.functional as F\nF.categorical_crossentropy(x, y)": (
        2,
        1,
        "error",
        "cross_entropy(logits, target)",
    ),
    "import torch\ntorch.soft(x)": (2, 1, "warning", "this line fails when it is reached."),
    "import torch.nn.functional as F\nü = F.nce_loss": (2, 5, "error", "nce_loss"),
}


@pytest.mark.parametrize("code", MISSING)
def test_a_name_that_is_not_there_is_found_with_the_call_to_write(code):
    line, column, level, words = MISSING[code]
    (finding,) = found(code)
    assert (finding.code, finding.line, finding.column, finding.level) == ("AMX401", line, column, level)
    assert words in finding.message


@pytest.mark.parametrize(
    "code",
    [
        "import torch.nn.functional as F\nF.cross_entropy(logits, labels)",
        "from torch.nn import NLLLoss, functional",
        "from torch.nn.functional import *",
        "import torch\ntorch._C._nn.nce_loss, torch._nce_loss",
        "import torch.utils.tensorboard\ntorch.utils.tensorboard.SummaryWriter",
        "from pytorch_lightning.plugins import MixedPrecision",
        # another F, an F that may be another, and none at all
        "import tensorflow.nn as F\nF.nce_loss(x)",
        "import torch.nn.functional as F\ndef f(F):\n    return F.nce_loss(x)",
        "F.nce_loss(x)",
        # the file knows that the name may be missing
        "import torch.nn.functional as F\nF.nce_loss = nce_loss\nF.nce_loss(x)",
        "import torch.nn.functional as F\nif hasattr(F, 'nce_loss'):\n    pass\nF.nce_loss(x)",
        "try:\n    from torch.nn import NCELoss\nexcept ImportError:\n    NCELoss = None",
        "import torch\nif TORCH_VERSION < (1, 8):\n    torch.soft(x)",
        "import torch, pytest\nwith pytest.raises(AttributeError):\n    torch.nn.NCELoss()",
        # a device whose package adds a module to torch
        "import torch\ntorch.npu.set_device(0)",
    ],
)
def test_nothing_is_said_of_names_that_are_there_or_may_be(code):
    assert not found(code)


def test_a_name_in_a_message_does_not_silence_the_call():
    assert found("import torch.nn.functional as F\nself.log('nce_loss', F.nce_loss(x))")


def test_a_name_is_found_once_in_a_chain():
    assert len(found("import torch\ntorch.nn.NCELoss.apply(x).mean()")) == 1


def test_the_table_is_that_of_the_installed_libraries():
    table = library.TABLE.read_text(encoding="utf-8").splitlines()
    # in a process of its own, since what others import shows in dir(torch)
    program = "from tests.inspect.check.make_names import lines; print(*lines(), sep='\\n')"
    made = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if table[0] != made[0]:
        pytest.skip("the table is of other versions: make names")
    assert table == made


@pytest.mark.parametrize(
    "code",
    [
        "from __future__ import annotations\nimport torch\ndef move(x, device: torch.Device) -> torch.Device: ...",
        "import torch\ndef move(x):\n    device: torch.Device = x.device",
        "import torch\ntorch.has_cuda",
    ],
)
def test_what_python_does_not_look_at_or_torch_gives_with_a_warning_is_left_alone(code):
    assert found(code) == []


def test_an_annotation_that_is_looked_at_fails():
    assert len(found("import torch\ndevice: torch.Device\ndef move(x: torch.Device): ...")) == 2
