"""The snippets of a tutorial from scores to probabilities: each wrong one is reported, no right one is.

Each wrong one has one of four mistakes that such pages make, in several spellings: a softmax without `dim`, an NCE or
Gumbel-softmax function that torch does not have, a plugin that Lightning does not have, and probabilities where a loss
takes scores.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import zip_longest

import pytest

from anymax.inspect.check.main import main
from tests.inspect.check.test_sources import notebook

# By name: the codes that it is to get, and the snippet. The line that is wrong ends in `# here`.
WRONG = {
    # softmax without dim
    "functional": (
        "AMX101",
        """
import torch
import torch.nn.functional as F

logits = torch.randn(4, 10)
probabilities = F.softmax(logits)  # here
print(probabilities.sum())
""",
    ),
    "imported": (
        "AMX101",
        """
import torch
from torch.nn.functional import softmax

scores = torch.tensor([[2.0, 1.0, 0.1], [0.5, 2.5, 0.3]])
print(softmax(scores))  # here
""",
    ),
    "whole_path": (
        "AMX101",
        """
import torch

images = torch.randn(16, 1, 28, 28)
flat = images.flatten(1)
weights = torch.randn(784, 10)
output = torch.nn.functional.softmax(flat @ weights)  # here
""",
    ),
    "log_softmax": (
        "AMX101",
        """
import torch.nn as nn
import torch.nn.functional as F

class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(784, 128)
        self.out = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.hidden(x.view(-1, 784)))
        return F.log_softmax(self.out(x))  # here
""",
    ),
    "module": (
        "AMX101",
        """
import torch
from torch import nn

activation = nn.Softmax()  # here
print(activation(torch.randn(2, 3)))
""",
    ),
    "log_module": (
        "AMX101",
        """
import torch

layer = torch.nn.LogSoftmax()  # here
log_probabilities = layer(torch.randn(8, 5))
""",
    ),
    "last_of_sequential": (
        "AMX101",
        """
from torch import nn

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(28 * 28, 128),
    nn.ReLU(),
    nn.Linear(128, 10),
    nn.Softmax(),  # here
)
""",
    ),
    "layer_of_a_model": (
        "AMX101",
        """
import torch.nn as nn

class Classifier(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.linear = nn.Linear(features, classes)
        self.softmax = nn.Softmax()  # here

    def forward(self, x):
        return self.softmax(self.linear(x))
""",
    ),
    "dim_none": (
        "AMX101",
        """
import torch
import torch.nn.functional as F

attention = torch.randn(2, 5, 5)
weights = F.softmax(attention, dim=None)  # here
""",
    ),
    "of_a_sequence": (
        "AMX101",
        """
import torch
from torch.nn import functional

hidden = torch.randn(8, 20, 256)
keys = torch.randn(8, 20, 256)
energy = torch.bmm(hidden, keys.transpose(1, 2))
attention = functional.softmax(energy)  # here
""",
    ),
    # names that torch does not have
    "nce_loss": (
        "AMX401",
        """
import torch
import torch.nn as nn
import torch.nn.functional as F

class SkipGram(nn.Module):
    def __init__(self, vocab_size, embed_dim):
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, embed_dim)
        self.context = nn.Embedding(vocab_size, embed_dim)

    def forward(self, target, context, noise_dist):
        features = self.embeddings(target)
        return F.nce_loss(features, self.context.weight, context, noise_dist, num_sampled=64)  # here
""",
    ),
    "nce_loss_imported": (
        "AMX401",
        """
import torch
from torch.nn.functional import nce_loss  # here

loss = nce_loss(torch.randn(8, 16), torch.randn(100, 16), torch.randint(100, (8,)))
""",
    ),
    "nce_module": (
        "AMX401",
        """
import torch
import torch.nn as nn

criterion = nn.NCELoss(num_classes=1000, num_sampled=64)  # here
loss = criterion(torch.randn(32, 128), torch.randint(1000, (32,)))
""",
    ),
    "sampled_softmax": (
        "AMX401",
        """
import torch
from torch import nn

hidden = torch.randn(32, 128)
words = torch.randint(50_000, (32,))
decoder = nn.Linear(128, 50_000)
loss = nn.functional.sampled_softmax_loss(decoder.weight, decoder.bias, words, hidden, 64, 50_000)  # here
""",
    ),
    "gumbel_module": (
        "AMX401",
        """
import torch
import torch.nn as nn

class Encoder(nn.Module):
    def __init__(self, features, categories):
        super().__init__()
        self.scores = nn.Linear(features, categories)
        self.sample = nn.GumbelSoftmax(tau=0.5)  # here

    def forward(self, x):
        return self.sample(self.scores(x))
""",
    ),
    "gumbel_of_torch": (
        "AMX401",
        """
import torch

logits = torch.randn(20, 32)
sample = torch.gumbel_softmax(logits, tau=1.0, hard=True, dim=-1)  # here
""",
    ),
    # and that Lightning does not have
    "plugin": (
        "AMX401",
        """
import pytorch_lightning as pl
from pytorch_lightning.plugins import GumbelSoftmax  # here

trainer = pl.Trainer(max_epochs=5, plugins=[GumbelSoftmax(temperature=0.5)])
""",
    ),
    "plugin_of_lightning_2": (
        "AMX401",
        """
import lightning as L
from lightning.pytorch.plugins import GumbelSoftmax  # here

trainer = L.Trainer(plugins=GumbelSoftmax())
""",
    ),
    "plugin_by_attribute": (
        "AMX401",
        """
import pytorch_lightning as pl

trainer = pl.Trainer(plugins=[pl.plugins.GumbelSoftmax()])  # here
""",
    ),
    # probabilities where a loss takes scores
    "in_one_line": (
        "AMX201",
        """
import torch
import torch.nn.functional as F

logits = torch.randn(4, 3)
labels = torch.tensor([0, 2, 1, 1])
loss = F.cross_entropy(F.softmax(logits, dim=1), labels)  # here
""",
    ),
    "by_a_name": (
        "AMX201",
        """
import torch
from torch import nn

model = nn.Linear(20, 5)
criterion = nn.CrossEntropyLoss()
inputs, labels = torch.randn(8, 20), torch.randint(5, (8,))

probabilities = torch.softmax(model(inputs), dim=-1)
loss = criterion(probabilities, labels)  # here
loss.backward()
""",
    ),
    "from_sequential": (
        "AMX201",
        """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10), nn.Softmax(dim=1))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for images, labels in loader:
    optimizer.zero_grad()
    loss = loss_fn(model(images.flatten(1)), labels)  # here
    loss.backward()
    optimizer.step()
""",
    ),
    "from_a_model": (
        "AMX201",
        """
import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = self.fc2(x)
        return F.softmax(x, dim=1)

def train(loader, epochs):
    net = Net()
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters())
    for epoch in range(epochs):
        for data, target in loader:
            optimizer.zero_grad()
            output = net(data)
            loss = criterion(output, target)  # here
            loss.backward()
            optimizer.step()
""",
    ),
    "in_a_lightning_module": (
        "AMX201",
        """
import lightning as L
import torch
from torch import nn
from torch.nn import functional as F

class LitClassifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(28 * 28, 10)

    def forward(self, x):
        return torch.softmax(self.layer(x.flatten(1)), dim=1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        y_hat = self(x)
        return F.cross_entropy(y_hat, y)  # here

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)
""",
    ),
    "by_a_layer": (
        "AMX201",
        """
import torch
import torch.nn as nn

softmax = nn.Softmax(dim=1)
cross_entropy = nn.CrossEntropyLoss(label_smoothing=0.1)
predictions = softmax(nn.Linear(10, 4)(torch.randn(6, 10)))
print(cross_entropy(predictions, torch.randint(4, (6,))).item())  # here
""",
    ),
    "by_a_method": (
        "AMX201",
        """
import torch.nn.functional as F

def step(model, batch, labels):
    probs = model(batch).softmax(-1)
    return F.cross_entropy(probs, labels)  # here
""",
    ),
    "log_probabilities": (
        "AMX201",
        """
import torch
from torch import nn

log_softmax = nn.LogSoftmax(dim=1)
criterion = nn.CrossEntropyLoss()
scores = torch.randn(3, 5, requires_grad=True)
loss = criterion(log_softmax(scores), torch.tensor([1, 0, 4]))  # here
""",
    ),
}

RIGHT = {
    # softmax with dim
    "functional": """
import torch
import torch.nn.functional as F

logits = torch.randn(4, 10)
probabilities = F.softmax(logits, dim=1)
print(probabilities.sum(dim=1))
""",
    "of_one_vector": """
import torch

scores = torch.tensor([2.0, 1.0, 0.1])
print(torch.softmax(scores, dim=0))
print(scores.softmax(0))
""",
    "by_position": """
import torch
from torch.nn.functional import log_softmax, softmax

scores = torch.randn(2, 6)
print(softmax(scores, 1), log_softmax(scores, -1))
""",
    "module": """
import torch
from torch import nn

activation = nn.Softmax(dim=-1)
print(activation(torch.randn(2, 3)))
""",
    "softmax_2d": """
import torch
from torch import nn

maps = nn.Softmax2d()(torch.randn(2, 21, 64, 64))
""",
    "attention": """
import math
import torch

def attention(query, key, value, mask=None):
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if mask is not None:
        scores = scores.masked_fill(mask == 0, float("-inf"))
    return scores.softmax(dim=-1) @ value

print(attention(*(torch.randn(2, 8, 5, 64) for _ in range(3))).shape)
""",
    "numpy_and_scipy": """
import numpy as np
from scipy.special import softmax

def stable(x):
    e = np.exp(x - np.max(x))
    return e / e.sum()

print(stable(np.array([1.0, 2.0, 3.0])), softmax(np.array([1.0, 2.0, 3.0])))
""",
    # names that are there
    "tensorflow": """
import tensorflow as tf

probabilities = tf.nn.softmax(logits)
loss = tf.nn.nce_loss(weights, biases, labels, inputs, num_sampled=64, num_classes=10_000)
sampled = tf.nn.sampled_softmax_loss(weights, biases, labels, inputs, 64, 10_000)
""",
    "gumbel": """
import torch
import torch.nn.functional as F

logits = torch.randn(20, 32)
soft = F.gumbel_softmax(logits, tau=1.0, dim=-1)
hard = F.gumbel_softmax(logits, tau=0.5, hard=True, dim=-1)
""",
    "own_nce_loss": """
import torch
from torch import nn

class NCELoss(nn.Module):
    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def forward(self, scores, noise_scores):
        return -(nn.functional.logsigmoid(scores) + nn.functional.logsigmoid(-noise_scores).sum(-1)).mean()

criterion = NCELoss(torch.ones(100) / 100)
""",
    "anymax_nce": """
import torch
import anymax

linear = torch.nn.Linear(128, 50_000)
noise = anymax.noise.LogUniform(50_000)
loss = anymax.nce_loss(torch.randn(32, 128), linear.weight, torch.randint(50_000, (32,)), noise)
""",
    "asked_first": """
import torch
import torch.nn.functional as F

if hasattr(F, "nce_loss"):
    nce_loss = F.nce_loss
else:
    from losses import nce_loss
""",
    "adaptive": """
import torch
from torch import nn

head = nn.AdaptiveLogSoftmaxWithLoss(128, 50_000, cutoffs=[1000, 10_000])
output, loss = head(torch.randn(32, 128), torch.randint(50_000, (32,)))
loss.backward()
""",
    "plugin": """
import pytorch_lightning as pl
from pytorch_lightning.plugins import MixedPrecision

trainer = pl.Trainer(max_epochs=5, precision="16-mixed")
""",
    # scores where a loss takes scores
    "cross_entropy": """
import torch
import torch.nn.functional as F

logits = torch.randn(4, 3, requires_grad=True)
loss = F.cross_entropy(logits, torch.tensor([0, 2, 1, 1]))
loss.backward()
""",
    "probabilities_for_people": """
import torch
from torch import nn

model = nn.Linear(20, 5)
criterion = nn.CrossEntropyLoss()
inputs, labels = torch.randn(8, 20), torch.randint(5, (8,))

logits = model(inputs)
loss = criterion(logits, labels)
probabilities = torch.softmax(logits, dim=-1)
print(loss.item(), probabilities.argmax(dim=-1), probabilities.max(dim=-1).values)
""",
    "from_sequential": """
import torch
from torch import nn

model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for images, labels in loader:
    optimizer.zero_grad()
    loss = loss_fn(model(images.flatten(1)), labels)
    loss.backward()
    optimizer.step()
""",
    "log_probabilities_and_nll": """
import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)

def train(loader, epochs):
    net = Net()
    criterion = nn.NLLLoss()
    optimizer = torch.optim.Adam(net.parameters())
    for epoch in range(epochs):
        for data, target in loader:
            optimizer.zero_grad()
            loss = criterion(net(data), target)
            loss.backward()
            optimizer.step()
""",
    "in_a_lightning_module": """
import lightning as L
import torch
from torch import nn
from torch.nn import functional as F

class LitClassifier(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(28 * 28, 10)

    def forward(self, x):
        return self.layer(x.flatten(1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def predict_step(self, batch, batch_idx):
        x, _ = batch
        return self(x).softmax(dim=1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)
""",
    "soft_targets": """
import torch
import torch.nn.functional as F

student, teacher = torch.randn(4, 10), torch.randn(4, 10)
loss = F.cross_entropy(student, F.softmax(teacher, dim=1))
""",
    "distillation": """
import torch.nn.functional as F

def distill(student, teacher, temperature=2.0):
    return F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.softmax(teacher / temperature, dim=1),
        reduction="batchmean",
    )
""",
    "binary": """
import torch
from torch import nn

model = nn.Linear(10, 1)
criterion = nn.BCEWithLogitsLoss()
logits = model(torch.randn(8, 10)).squeeze(1)
loss = criterion(logits, torch.randint(2, (8,)).float())
probabilities = torch.sigmoid(logits)
""",
    "softmax_when_not_training": """
import torch
from torch import nn

class Answers(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(32, 4)

    def forward(self, x):
        logits = self.out(x)
        return logits if self.training else torch.softmax(logits, dim=-1)

model = Answers()
loss = nn.CrossEntropyLoss()(model(torch.randn(2, 32)), torch.tensor([0, 3]))
""",
}


pytestmark = pytest.mark.usefixtures("folder")


def line_of(snippet: str) -> int:
    """The line that is wrong."""
    (line,) = (number for number, line in enumerate(snippet.split("\n"), 1) if line.endswith("# here"))
    return line


def found(capsys, path: str) -> dict[int | None, set[tuple[str, int]]]:
    """Codes and lines by cell."""
    main([path, "--output-format", "json"])
    said = capsys.readouterr()
    assert said.err == ""
    findings = defaultdict(set)
    for each in json.loads(said.out):
        findings[each["cell"]].add((each["code"], each["location"]["row"]))
    return dict(findings)


@pytest.mark.parametrize(("code", "snippet"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_snippet_is_reported_at_its_line(folder, capsys, code, snippet):
    (folder / "snippet.py").write_text(snippet)
    assert found(capsys, "snippet.py") == {None: {(code, line_of(snippet))}}


@pytest.mark.parametrize("snippet", RIGHT.values(), ids=RIGHT.keys())
def test_a_right_snippet_is_not_reported(folder, capsys, snippet):
    (folder / "snippet.py").write_text(snippet)
    assert found(capsys, "snippet.py") == {}


def test_in_one_notebook_the_same_cells_are_wrong(folder, capsys):
    """Every wrong cell is followed by a right one, which has names in common with it."""
    # but for a cell that asks whether torch has a name: the whole file is then taken to know
    right = [snippet for name, snippet in RIGHT.items() if name != "asked_first"]
    pairs = zip_longest(WRONG.values(), right, fillvalue="")
    cells = [cell for (_, wrong), right in pairs for cell in (wrong, right)]
    (folder / "tutorial.ipynb").write_text(notebook(*cells))
    # the first cell is a title
    expected = {cells.index(snippet) + 2: {(code, line_of(snippet))} for code, snippet in WRONG.values()}
    assert found(capsys, "tutorial.ipynb") == expected
