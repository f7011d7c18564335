import inspect
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F

from tests.dimbugs.driving import Drive


def drive(half):
    torch.manual_seed(0)
    model = half.TextRecognizer()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    lines, labels = torch.randn(3, 1, 6, 11), torch.tensor([0, 6, 3])
    return Drive(
        model, lines, F.cross_entropy, labels, step=lambda: half.training_step(model, optimizer, lines, labels)
    )


def symptom(half):
    """Whether the name is missing where it is imported from; read, since importing Lightning takes seconds."""
    lightning = Path(find_spec("pytorch_lightning").origin).parent
    package, name = (
        ("plugins", "DDPPlugin") if "DDPPlugin" in inspect.getsource(half) else ("strategies", "DDPStrategy")
    )
    return name not in (lightning / package / "__init__.py").read_text()
