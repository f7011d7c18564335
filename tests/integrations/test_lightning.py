"""A fit of Lightning's is watched in its first steps, by a callback."""

import subprocess
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

pytest.importorskip("lightning")
import lightning

from anymax.integrations.lightning import WatchCallback

ROWS = [(torch.full((6,), float(at)), at % 3) for at in range(8)]


class Model(lightning.LightningModule):
    def __init__(self, probs, fails_at=None):
        super().__init__()
        self.layer, self.probs, self.fails_at = nn.Linear(6, 3), probs, fails_at

    def training_step(self, batch, index):
        if index == self.fails_at:
            raise ArithmeticError
        rows, target = batch
        scores = self.layer(rows)
        return F.cross_entropy(scores.softmax(1) if self.probs else scores, target)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(model, callback, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_steps=4,
            accelerator="cpu",
            callbacks=[callback],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        trainer.fit(model, DataLoader(ROWS, batch_size=2))


def assert_nothing_is_on():
    assert torch._C._len_torch_function_stack() == 0
    assert not hasattr(torch.Tensor.backward, "__wrapped__")


@pytest.mark.parametrize("probs", [True, False])
def test_a_fit_is_watched_for_so_many_steps(probs):
    callback = WatchCallback(steps=3)
    assert callback.findings == []
    fit(Model(probs), callback)
    assert callback.watch.steps_seen == 3
    assert [one.code for one in callback.findings] == (["AMX201"] if probs else [])
    assert all(one.path == __file__ for one in callback.findings)
    assert_nothing_is_on()


def test_a_fit_with_fewer_steps_ends_the_watch():
    callback = WatchCallback(steps=99)
    fit(Model(True), callback)
    assert callback.watch.steps_seen == 4
    assert_nothing_is_on()


def test_a_fit_that_fails_ends_the_watch():
    callback = WatchCallback()
    with pytest.raises(ArithmeticError):
        fit(Model(True, fails_at=1), callback)
    assert [one.code for one in callback.findings] == ["AMX201"]
    assert_nothing_is_on()


def test_wrong_steps_are_an_error_at_once():
    with pytest.raises(ValueError, match="watch: steps must be at least 1, got 0"):
        WatchCallback(steps=0)


def test_anymax_does_not_import_lightning():
    code = "import sys, anymax, anymax.integrations; sys.exit('lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
