"""check_model finds axes and losses that cannot be meant in a model's graph, and nothing in models that are right."""

from __future__ import annotations

import copy
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import anymax
from tests.inspect.models import (
    BATCH,
    CE,
    CLASSES,
    LENGTH,
    RIGHT,
    WIDTH,
    WRONG,
    Model,
    ids,
    linear,
    rows,
    sequences,
    similarities,
)  # fmt: skip


def check(function, inputs, loss=None, target=None, **layers):
    return anymax.check_model(Model(function, **layers), inputs, loss=loss, target=target)


def codes(report):
    return sorted({finding.code for finding in report.findings})


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name):
    function, inputs, layers, loss, target, expected = WRONG[name]
    report = check(function, inputs(), loss, target, **layers)
    assert codes(report) == expected, report
    assert report


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_left_alone(name):
    function, inputs, layers, loss, target = RIGHT[name]
    report = check(function, inputs(), loss, target, **layers)
    assert not report, report


class Classifier(nn.Module):
    """Softmax over the batch, by a line of its own and by a layer."""

    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Sequential(nn.Linear(WIDTH, CLASSES), nn.Softmax(dim=0))
        self.seen, self.steps = [], 0

    def forward(self, x):
        self.steps += 1
        self.last = self.drop(self.norm(self.hidden(x)))
        self.seen.append(self.last)
        return helper(self.last), self.head(self.last)


def helper(x):
    return F.softmax(
        x,
        dim=0,
    )


def test_place_is_the_users_line_in_a_helper_and_the_module_elsewhere():
    first, second = anymax.check_model(Classifier(), rows()).findings
    assert (Path(first.path).name, first.text, first.module) == ("test_graph.py", "return F.softmax(", "")
    assert first.line == line_of("return F.softmax(")
    assert (second.line, second.module) == (line_of("return helper(self.last)"), "head.1")
    assert first.level == second.level == "error"


def test_place_without_a_line_of_the_users_is_the_module():
    (finding,) = anymax.check_model(nn.Sequential(nn.Linear(WIDTH, CLASSES), nn.Softmax(dim=0)), rows()).findings
    assert (finding.path, finding.line, finding.module) == ("", 0, "1")
    assert str(finding).startswith("module 1: error AMX102\n  softmax over dim 0 of f32[batch, 5] normalises")
    report = anymax.check_model(
        nn.Sequential(nn.Linear(WIDTH, CLASSES), nn.Softmax(dim=1)), rows(), loss=CE, target=ids()
    )
    assert str(report.findings[0]).startswith(
        "loss: error AMX201\n  cross_entropy of probabilities: the softmax in module 1"
    )


def line_of(text):
    return next(
        at for at, line in enumerate(Path(__file__).read_text().splitlines(), 1) if line.strip().startswith(text)
    )


def test_batch_is_the_loss_s_own_business_where_it_normalises_over_it():
    report = anymax.check_model(
        nn.Linear(WIDTH, CLASSES), rows(), loss=lambda scores: (scores.softmax(0) * scores).sum()
    )
    assert [(finding.code, finding.level) for finding in report.findings] == [("AMX102", "warning")]


def test_model_random_states_and_settings_stay_as_they_were():
    model = Classifier().train()
    model.head.eval()
    model(rows())[0].sum().backward()
    seen, attributes = list(model.seen), vars(model).keys() - {"last"}
    before = copy.deepcopy(model.state_dict())
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    inputs = rows()
    states = torch.get_rng_state(), random.getstate(), torch.distributions.Distribution._validate_args
    last = model.last
    anymax.check_model(model, inputs, loss=lambda output: output[0].sum())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(
        torch.equal(parameter.grad, gradient)
        for parameter, gradient in zip(
            [one for one in model.parameters() if one.grad is not None], gradients, strict=True
        )
    )
    assert (model.training, model.head.training, model.steps) == (True, False, 1)
    assert model.last is last
    assert all(one is other for one, other in zip(model.seen, seen, strict=True))
    assert vars(model).keys() - {"last"} == attributes
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), torch.distributions.Distribution._validate_args) == states[1:]
    assert torch.backends.mha.get_fastpath_enabled()


def test_random_numbers_of_the_model_are_not_taken_from_the_programs_own():
    inputs = rows()
    state = torch.get_rng_state(), random.getstate()
    anymax.check_model(Model(lambda m, x: x + torch.rand(3)[0] + random.random()), inputs)
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]


def test_a_second_look_says_the_same_and_the_model_exports_by_itself_afterwards():
    model = Classifier()
    assert str(anymax.check_model(model, rows())) == str(anymax.check_model(model, rows()))
    plain = nn.Sequential(nn.Linear(WIDTH, CLASSES), nn.Softmax(dim=0))
    anymax.check_model(plain, rows())
    torch.export.export(plain, (rows(),))
    assert plain(rows()).shape == (BATCH, CLASSES)


def test_inputs_are_a_tensor_a_tuple_or_keywords():
    class Two(nn.Module):
        def forward(self, x, *, weight=None):
            return x.softmax(0) if weight is None else (x * weight).softmax(0)

    for inputs in (rows(), (rows(),), [rows()], {"x": rows()}, {"x": rows(), "weight": torch.rand(BATCH, WIDTH)}):
        report = anymax.check_model(Two(), inputs)
        assert [finding.message.partition(" normalises")[0] for finding in report.findings] == [
            f"softmax over dim 0 of f32[batch, {WIDTH}]"
        ]


def test_output_may_be_a_dict_a_dataclass_or_nested():
    @dataclass
    class Output:
        loss: object
        scores: torch.Tensor

    class Logs(nn.Module):
        def forward(self, x):
            return Output(None, x.log_softmax(1))

    # the log-probabilities have another use: they are the output
    assert not anymax.check_model(
        Logs(), rows(), loss=lambda output, target: F.nll_loss(output.scores, target), target=ids()
    )

    class Odd(nn.Module):
        def forward(self, x):
            return {"a": [Output(None, x.softmax(0))], "b": "text"}

    assert codes(anymax.check_model(Odd(), rows())) == ["AMX102"]
    report = anymax.check_model(
        Odd(), rows(), loss=lambda output, target: CE(output["a"][0].scores, target), target=ids()
    )
    assert codes(report) == ["AMX102", "AMX201"]


def test_batch_may_be_another_axis():
    first = Model(lambda m, x: x.softmax(1))
    assert codes(anymax.check_model(first, torch.randn(LENGTH, BATCH, WIDTH), batch_dim=1)) == ["AMX102"]
    assert not anymax.check_model(first, torch.randn(BATCH, LENGTH, WIDTH))


def test_target_may_have_its_batch_in_front_where_the_input_has_it_second():
    first = Model(lambda m, x, lengths: x.mean(0) / lengths[:, None])
    inputs = torch.randn(LENGTH, BATCH, WIDTH), torch.ones(BATCH)
    assert not anymax.check_model(first, inputs, loss=CE, target=ids(), batch_dim=1)


def test_length_that_the_model_makes_itself_is_no_batch():
    def forward(layers, x):
        return torch.cat([x, x.new_zeros(x.shape[0], 1, WIDTH)], 1).softmax(1)

    assert not anymax.check_model(Model(forward), sequences())


def test_batch_that_the_models_own_code_fixes_is_still_told_from_other_sizes():
    def same(scores, target):
        return F.cross_entropy(scores, torch.arange(len(scores)))

    layers = {"one": linear(), "other": linear()}
    assert not anymax.check_model(Model(similarities, **layers), (rows(), rows()), loss=same, target=ids())
    wrong = Model(lambda m, x: torch.cat([x, x.new_zeros(len(x), WIDTH)]).softmax(0))
    report = anymax.check_model(wrong, rows())
    assert [one.message.partition(" normalises")[0] for one in report.findings] == [
        "softmax over dim 0 of f32[2*batch, 6]"
    ]
    assert any("traced with 61 samples, and sizes that 61 divides" in sentence for sentence in report.not_looked_at)
    by_sample = Model(lambda m, x: torch.stack([row.softmax(0) for row in m["out"](x)]), out=nn.Linear(WIDTH, 61 * 67))
    report = anymax.check_model(by_sample, rows())
    assert not report
    assert any("traced with 71 samples" in sentence for sentence in report.not_looked_at)


def test_one_line_is_one_finding_however_often_it_runs():
    def forward(layers, x):
        for _ in range(3):
            x = x.softmax(0) + x
        return x

    (finding,) = anymax.check_model(Model(forward), rows()).findings
    assert finding.times == 3
    assert "AMX102 (3 times)" in str(finding)


def test_single_sample_is_refused():
    message = (
        r"got 1 on axis 0 of shape \(1, 6\): .*; give two samples, or say with batch_dim= which axis is the batch$"
    )
    with pytest.raises(ValueError, match=f"^check_model: example_input must have two samples or more, {message}"):
        anymax.check_model(Classifier(), torch.zeros(1, WIDTH))


@pytest.mark.parametrize(
    ("model", "inputs", "error", "message"),
    [
        (Classifier, "text", TypeError, "example_input must be a tensor, a tuple of arguments or a dict of keyword "),
        (Classifier, (3,), ValueError, "example_input must hold a tensor, got none"),
        (Classifier, torch.tensor(1.0), ValueError, r"batch_dim must be an axis of the inputs, got 0 for inputs "),
        (lambda: len, torch.zeros(2, 2), TypeError, "model must be a torch.nn.Module, got builtin_function_or_method"),
        (lambda: nn.Softmax(dim=4), torch.zeros(2, 3), IndexError, r"dim must be in \[-2, 1\] .* 2 axes, got 4"),
    ],
)  # fmt: skip
def test_bad_arguments_say_what_is_expected(model, inputs, error, message):
    with pytest.raises(error, match=f"^check_model: {message}"):
        anymax.check_model(model(), inputs)


def branches(layers, x):
    if x.sum() > 0:
        return x
    return -x


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (branches, r"it branches on the values of a tensor at .*test_graph.py:\d+$"),
        (
            lambda m, x: x.view(BATCH, WIDTH),
            f"it works for a batch of {BATCH} alone, as a size that is written as a number",
        ),
        (
            lambda m, x: x @ torch.zeros(WIDTH + 1, 2),
            r"RuntimeError at .*test_graph.py:\d+: a and b must have same reduc",
        ),
        (lambda m, x: x.numpy(), r"RuntimeError at .*test_graph.py:\d+: .*numpy"),
    ],
)
def test_model_that_cannot_be_traced_is_said_in_one_sentence_and_nothing_is_printed(function, cause, capfd):
    with pytest.raises(RuntimeError) as raised:
        anymax.check_model(Model(function), rows())
    start = "check_model: Model could not be traced by torch.export, so nothing was looked at: "
    assert re.match(re.escape(start) + cause, str(raised.value))
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_torch_logs_nothing_of_a_trace_that_fails():
    # the handler of torch's log holds the stderr that it was made with, which pytest does not capture
    code = """
import anymax, torch
class Wrong(torch.nn.Module):
    def forward(self, x):
        return x @ torch.zeros(7, 2)
try:
    anymax.check_model(Wrong(), torch.zeros(2, 6))
except RuntimeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a and b must have same reduction dim" in done.stdout
    assert done.stderr == ""


def test_loss_whose_shapes_depend_on_values_is_named():
    def loss(scores, target):
        lengths = torch.full((BATCH,), LENGTH), torch.full((BATCH,), 3)
        return F.ctc_loss(scores.log_softmax(-1).transpose(0, 1), target, *lengths)

    message = r"the shape of what aten._ctc_loss.Tensor gives depends on values at .*test_graph.py:\d+$"
    with pytest.raises(RuntimeError, match=message):
        anymax.check_model(nn.Linear(WIDTH, CLASSES), sequences(), loss=loss, target=ids(3))


def test_failed_trace_leaves_attributes_alone():
    class Keeps(nn.Module):
        def forward(self, x):
            self.kept = x
            return branches(None, x)

    model = Keeps()
    with pytest.raises(RuntimeError):
        anymax.check_model(model, rows())
    assert not hasattr(model, "kept")


def test_report_says_what_was_looked_at_and_what_was_not():
    report = anymax.check_model(Classifier().eval(), rows())
    assert report.looked_at == {"softmax": 2, "fused attention": 0, "loss": 0}
    text = str(report)
    assert text.startswith("Classifier: 2 findings\n\n")
    assert (
        "`anymax check --explain CODE` says more of AMX102.\n\nLooked at: softmax 2, fused attention 0, loss 0." in text
    )
    assert (
        "Not looked at:\n  * the loss: none was given.\n  * the model in another mode: it was traced in eval mode."
        in text
    )
    assert all(len(line) <= 110 for line in text.splitlines())
    clean = anymax.check_model(nn.Linear(WIDTH, CLASSES), rows(), loss=CE, target=ids())
    assert str(clean).startswith("Linear: no findings\n\nLooked at: softmax 0, fused attention 0, loss 1.")
    assert not any("none was given" in sentence for sentence in clean.not_looked_at)


def test_both_modes_are_named():
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout())
    model[0].eval()
    assert any("eval and training mode" in sentence for sentence in anymax.check_model(model, rows()).not_looked_at)


def test_ops_of_others_are_named():
    @torch.library.custom_op("anymax_tests::own_softmax", mutates_args=())
    def own(x: torch.Tensor) -> torch.Tensor:
        return x.softmax(0)

    own.register_fake(torch.empty_like)
    report = anymax.check_model(Model(lambda m, x: own(x)), rows())
    assert not report
    assert report.not_looked_at[-1] == "inside ops that torch does not define: anymax_tests::own_softmax."


MESSAGES = {
    "over the batch": (
        "softmax over dim 0 of f32[batch, 5] normalises over the batch: samples compete, a sample's own "
        "values do not sum to 1, and its result changes with the others. Write dim=1."
    ),
    "over the batch and time": (
        "log_softmax over dim 0 of f32[7*batch, 5] normalises over the batch: samples compete, "
    ),
    "one score per sample": (
        "softmax over dim 1 of f32[batch, 1]: an axis of size 1, so the result is always 1. One score per "
        "sample is a case for sigmoid; else normalise the axis that has the scores."
    ),
    "one class": ("cross_entropy of f32[batch, 1] has one class, so the loss is always 0."),
    "a layer that takes the length first": ("the weights f32[14, batch, batch] of the softmax in line "),
    "queries compete": ("softmax over dim 1 of f32[batch, 7, 7], but matmul in line "),
    "width of an image": (
        "softmax over dim 3 of f32[batch, 5, 8, 10] normalises one of the 2 spatial axes of an image: the "
        "pixels of a line compete. Write dim=1 if the channels are the classes, or anymax.softmax(x, dim=(2, "
        "3)) for a map over all pixels."
    ),
    "argmax beside softmax": (
        "argmax over dim 1 of f32[batch, 7, 5] chooses along another axis than the softmax of the same "
        "scores: entries of different distributions are compared. Write dim=2."
    ),
    "classes last": (
        "cross_entropy of f32[batch, 7, 7] takes the classes from axis 1, but the scores of the last layer "
        "are on axis 2: where the sizes coincide another loss is computed, elsewhere the call fails. Give it "
        "x.movedim(-1, 1), or write anymax.cross_entropy(x, target, dim=-1)."
    ),
    "softmax, then cross-entropy": ("cross_entropy of probabilities: the softmax in line "),
    "nll of scores": ("nll_loss of raw scores, those of line "),
    "one axis after the other": (
        "softmax over dim 2 of f32[batch, 7, 5] that holds probabilities, those of the softmax in "
    ),
    "masked with 0": ("the scores f32[batch, 5] of this softmax are masked with 0 in line "),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message_says_what_was_seen_what_it_leads_to_and_what_to_write(name):
    function, inputs, layers, loss, target, _ = WRONG[name]
    (finding,) = check(function, inputs(), loss, target, **layers).findings
    assert finding.message.startswith(MESSAGES[name])
    assert re.search(r"Write |Give |case for|Take one|one call", finding.message)
    assert finding.message.endswith((".", "?"))
