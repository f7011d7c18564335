"""probe: finds what mixes samples and where, passes what does not, and leaves everything as it was."""

import random
import re
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from anymax.inspect.probing import probe
from anymax.inspect.running.batches import Batch, differ


def draw(*shape, seed=0, **options):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), **options)


X, IDS = draw(4, 6), torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 0], [3, 1, 2]])


class Gate(nn.Module):
    """Features weighed by a softmax over `dim`, behind a dropout."""

    def __init__(self, dim):
        super().__init__()
        self.first, self.drop, self.last, self.dim = nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 3), dim

    def forward(self, features):
        weights = self.drop(self.first(features)).softmax(self.dim)
        return self.last(weights * features)


class Inside(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.before, self.part, self.after = nn.Linear(6, 6), part, nn.Linear(6, 6)

    def forward(self, features):
        return self.after(self.part(self.before(features)))


class TornApart(nn.Module):
    """(batch, 2, 3) read as (3, 2) of each sample, by a reshape over the whole batch."""

    def forward(self, features):
        return features.view(2, 4, 3).transpose(0, 1).reshape(4, 6)


class Attention(nn.Module):
    """Attention in a layout of (time, batch, width), which is what its default reads."""

    def __init__(self, batch_first):
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)

    def forward(self, ids):
        return self.layer(self.embed(ids))


MIXING = {
    "softmax over the batch": (lambda: Gate(0), X, "", "softmax"),
    "a module over the batch": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Softmax(0)), X, "1", "softmax"),
    "centred over the batch": (lambda: lambda x: x - x.mean(0), X, "", "sub"),
    "a layer inside": (lambda: Inside(Inside(nn.Softmax(dim=-2))), X, "part.part", "softmax"),
    "a reshape": (lambda: Inside(TornApart()), X, "part", None),
    "attention over samples": (lambda: Attention(False).eval(), IDS, "layer.self_attn", None),
    "a shift by one": (lambda: lambda x: torch.cat([x[:1], x[1:] + x[:-1]]), X, "", "cat"),
    "only the last of many": (lambda: lambda x: x + x[-1:], draw(30, 2), "", "add"),
    "the rank of the sample": (lambda: lambda x: x.sum(1).argsort().argsort(), X, "", "argsort"),
}
HEALTHY = {
    "a softmax at the end": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Softmax(dim=1)), X),
    "a gate with dropout": (lambda: Gate(1), X),
    "tokens": (lambda: Attention(True), IDS),
    "images": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(True), nn.Flatten()).eval(),
        draw(4, 3, 5, 5),
    ),
    "groups": (lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), draw(4, 3, 5, 5)),
    "recurrent": (lambda: nn.LSTM(3, 4, batch_first=True), draw(4, 5, 3)),
    "half": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Softmax(dim=1)).bfloat16(), X.bfloat16()),
    "whole numbers out": (lambda: lambda x: x.argmax(1), X),
    "NaN and infinities": (lambda: lambda x: torch.log(x.clamp(min=0)) * torch.tensor([1.0, 0.0] * 3), X),
    "noise that is drawn": (lambda: lambda x: x + torch.randn_like(x), X),
    "a write into the input": (lambda: lambda x: x.mul_(2), X),
}


@pytest.mark.parametrize(("make", "batch", "module", "function"), MIXING.values(), ids=MIXING)
def test_what_mixes_samples_is_found_where_it_first_does(make, batch, module, function):
    torch.manual_seed(0)
    found = probe(make(), batch)
    assert found.mixes
    assert found.module == module
    (finding,) = found.findings
    assert (finding.code, finding.level) == ("AMX102", "warning")
    if function is not None:
        assert f", in {function}: " in finding.message


@pytest.mark.parametrize(("make", "batch"), HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_model_passes(make, batch):
    torch.manual_seed(0)
    found = probe(make(), batch)
    assert not found.mixes, found
    assert (found.findings, found.module, found.mixed) == ((), None, ())
    assert "may take another way through the model" in str(found)


def test_a_model_that_ends_in_a_softmax_passes_for_every_draw():
    for seed in range(50):
        torch.manual_seed(seed)
        assert not probe(nn.Sequential(nn.Linear(6, 2), nn.Softmax(dim=1)), draw(3, 6, seed=seed)).mixes


def test_the_finding_names_the_line_of_the_call():
    (finding,) = probe(Gate(0), X).findings
    code = Gate.forward.__code__
    assert (finding.path, finding.line) == (__file__, code.co_firstlineno + 1)


def test_batch_norm_in_training_is_a_cause_of_its_own():
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    found = probe(model, X)
    assert (found.mixes, found.module) == (True, "1")
    (finding,) = found.findings
    assert (finding.code, finding.level) == ("AMX102", "info")
    assert "BatchNorm takes mean and variance over the batch, by design. Probe model.eval()" in finding.message
    assert not probe(model.eval(), X).mixes


def test_what_else_mixes_behind_batch_norm_is_found_too():
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Softmax(dim=0))
    first, second = probe(model, X).findings
    assert "0 (BatchNorm1d)" in first.message
    assert "samples first mix in 1 (Softmax), in softmax" in second.message
    assert model[0].training


def test_everything_is_afterwards_as_before():
    model = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(), Gate(0))
    kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batch = X.clone()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    probe(model, batch)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, kept[name]), name
    assert torch.equal(batch, X)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert torch.is_grad_enabled()
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch._C._len_torch_function_stack() == 0


def test_an_error_of_the_model_leaves_everything_as_before_too():
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.count = nn.BatchNorm1d(6), 0

        def forward(self, features):
            self.count += 1
            torch.rand(3)
            if self.count == 3:
                raise ArithmeticError
            return self.norm(features)

    model, state = Failing(), torch.get_rng_state()
    with pytest.raises(ArithmeticError):
        probe(model, X)
    assert model.norm.num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), state)


@dataclass
class Output:
    scores: Tensor
    loss: Tensor


Pair = namedtuple("Pair", ["one", "two"])


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda scores, loss: (scores, loss), ("output[0]", "output[1]")),
        (lambda scores, loss: {"scores": [scores], "loss": loss}, ("output['scores'][0]", "output['loss']")),
        (lambda scores, loss: Output(scores, loss), ("output.scores", "output.loss")),
        (lambda scores, loss: Pair(scores, loss), ("output.one", "output.two")),
    ],
)
def test_outputs_of_every_kind_and_those_without_a_batch_axis_are_said(make, names):
    def model(features):
        return make(features.softmax(1), features.mean())

    found = probe(model, X)
    assert found.compared == names[:1]
    assert found.not_compared == {names[1]: "shape ()"}
    assert f"Not compared, since it has no batch axis: {names[1]}, shape ()." in str(found)
    assert not found.mixes


def test_a_tuple_is_positional_arguments_and_a_dict_is_named_ones():
    def model(features, scale, *, mask):
        assert scale.shape == (2,)
        return (features * scale[0]).masked_fill(~mask, 0).softmax(0)

    mask = X > 0
    assert probe(lambda features, scale: model(features, scale, mask=mask), (X, torch.ones(2))).mixes
    assert probe(model, {"features": X, "scale": torch.ones(2), "mask": mask}).mixes


def test_whole_numbers_and_masks_are_changed_into_those_of_the_neighbour():
    seen = []

    def model(ids, mask):
        seen.append((ids.clone(), mask.clone()))
        return ids.float()

    mask = torch.tensor([[True, True, False], [True, False, False], [True, True, True], [True, True, True]])
    probe(model, (IDS, mask))
    for sample, (ids, changed) in enumerate(seen[2:]):
        rows = list(range(4))
        rows[sample] = (sample + 1) % 4
        assert torch.equal(ids, IDS[rows])
        assert torch.equal(changed, mask[rows])


def test_equal_samples_are_told_apart_by_noise():
    assert probe(lambda x: x.softmax(0), torch.ones(3, 2)).mixes
    assert probe(lambda x: x.softmax(0), torch.zeros(3, 2)).mixes


def test_another_axis_of_the_samples():
    model = nn.LSTM(3, 4)
    assert not probe(model, draw(5, 4, 3), batch_dim=1).mixes
    assert probe(lambda x: x.softmax(1), draw(5, 4, 3), batch_dim=1).mixes
    assert not probe(lambda x: x.softmax(0), draw(5, 4, 3), batch_dim=-2).mixes


def test_more_than_eight_samples_are_said_to_be_changed_in_part():
    found = probe(lambda x: x * 2, draw(30, 2))
    assert found.changed == (0, 4, 8, 12, 17, 21, 25, 29)
    assert "Only 8 of 30 samples were changed: [0, 4, 8, 12, 17, 21, 25, 29]." in str(found)


def test_rounding_is_no_mixing_and_a_little_more_is():
    def model(strength):
        return lambda x: x + strength * x.sum()

    assert not probe(model(1e-9), X).mixes
    assert probe(model(1e-4), X).mixes


def test_a_model_that_decides_on_its_shape_by_all_samples_mixes():
    assert probe(lambda x: x[:, : 3 + int(x.sum() > X.sum())], X).mixes


def test_differences():
    nan, inf = float("nan"), float("inf")
    assert differ(torch.tensor([nan, inf, 1.0]), torch.tensor([nan, inf, 1.5])) == 0.5
    assert differ(torch.tensor([nan]), torch.tensor([1.0])) == inf
    assert differ(torch.tensor([inf]), torch.tensor([-inf])) == inf
    assert differ(torch.tensor([3]), torch.tensor([5])) == 2
    assert differ(torch.tensor([True]), torch.tensor([False])) == 1
    assert differ(torch.zeros(2), torch.zeros(3)) == inf


def test_batches_keep_their_kind():
    batch = Batch.of({"pair": Pair(X, [X, 3]), "rest": Output(X, torch.ones(()))}, 0)
    changed = batch.replaced(1)
    assert isinstance(changed["pair"], Pair)
    assert isinstance(changed["rest"], Output)
    assert changed["pair"].two[1] == 3
    assert torch.equal(changed["pair"].two[0], X[[0, 2, 2, 3]])
    assert torch.equal(changed["rest"].scores, X[[0, 2, 2, 3]])


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, features):
        self.calls += 1
        return features + self.calls


@pytest.mark.parametrize(
    ("model", "batch", "options", "error", "message"),
    [
        (
            nn.Linear(6, 2),
            X[:1],
            {},
            ValueError,
            "probe: a batch of 1 cannot show whether samples mix; give one of two",
        ),
        (nn.Linear(6, 2), X, {"batch_dim": 2}, ValueError, "probe: batch_dim=2 is no axis of batch, of shape (4, 6)"),
        (nn.Linear(6, 2), X, {"batch_dim": "0"}, TypeError, "probe: batch_dim must be an int, got '0' of type str"),
        (nn.Linear(6, 2), [], {}, TypeError, "probe: batch must be a tensor, a tuple of arguments or a dict"),
        (3, X, {}, TypeError, "probe: model must be a module or a function, got int"),
        (
            lambda x: x.sum(),
            X,
            {},
            ValueError,
            "probe: no output has a batch axis, of size 4 along axis 0: got output ()",
        ),
        (
            lambda x: None,
            X,
            {},
            ValueError,
            "got no tensor; give a model that returns an answer per sample, not a loss",
        ),
        (
            Counting(),
            X,
            {},
            ValueError,
            "probe: two passes over the same batch, under the same random state, differ by 1",
        ),
        (lambda x: x, torch.ones(3, 2, dtype=torch.int64), {}, ValueError, "probe: sample 0 is equal to its neighbour"),
        (
            lambda x: x.softmax(0),
            torch.full((4, 6), -torch.inf),
            {},
            ValueError,
            "probe: output has no finite entry, so that nothing can be seen to move",
        ),
    ],
)
def test_errors_are_one_sentence(model, batch, options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        probe(model, batch, **options)


def test_samples_whose_answers_are_no_numbers_are_named():
    features = X.clone()
    features[1], features[2] = torch.nan, torch.inf
    assert "Without a finite entry, so that nothing is seen of them: samples [1, 2] of output." in str(
        probe(nn.Linear(6, 2), features)
    )
    assert "finite" not in str(probe(nn.Linear(6, 2), X))


def test_the_report():
    found = probe(nn.Sequential(nn.Linear(6, 5), nn.Softmax(0)), X)
    first, second, third, *_ = str(found).splitlines()
    assert re.fullmatch(r"samples mix: output of sample \d moved by [\d.]+ when sample 0 was changed", first)
    assert re.search(
        r": AMX102 warning: samples first mix in 1 \(Softmax\), in softmax: .* dim=1, or dim=-1\.$", second
    )
    assert third == "`anymax check --explain CODE` says more of AMX102."
    assert "Compared: output." in str(found)
    assert repr(found) == str(found)
