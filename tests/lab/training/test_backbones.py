"""Backbones: the user's own is found by name, gets plain floats or word ids, and is refused where it would mislead."""

import dataclasses
import functools
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from anymax.lab import compare
from anymax.lab.data.dataset import Items, Part, Parts
from anymax.lab.errors import OptionError
from anymax.lab.training import backbones, trial
from anymax.lab.training.events import TrainingDone
from anymax.lab.training.methods import METHODS, Method
from anymax.nn import SoftmaxHead
from tests.lab.calls import read_table

ROWS, COLUMNS, WINDOWS, LENGTH, WORDS = 6, 5, 6, 7, 11


def items_of(part):
    targets = part.targets.flatten().numpy()
    return Items(np.arange(len(targets)), np.arange(len(targets)), targets)


def table_parts(levels=(), numbers=0):
    """Rows of five columns, the first of which are said to be numbers, and a level id for each category."""
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(count, (ROWS, 1), generator=generator).float() for count in levels]
    inputs = torch.cat([torch.randn(ROWS, COLUMNS, generator=generator), *ids], dim=1)
    part = Part(inputs, torch.arange(ROWS) % 2)
    return Parts(part, part, part, items_of(part), torch.tensor([3, 3]), tuple(levels), numbers)


def text_parts():
    inputs = torch.randint(WORDS, (WINDOWS, LENGTH), generator=torch.Generator().manual_seed(0))
    part = Part(inputs, inputs.roll(-1, 1))
    return Parts(part, part, part, items_of(part), torch.bincount(inputs.flatten(), minlength=WORDS))


def linear(in_features):
    return nn.Sequential(nn.Linear(in_features, 3), nn.Dropout(0.5))


class Recurrent(nn.Module):
    """Word ids to the states of a GRU, read in some way."""

    def __init__(self, num_words, bidirectional=False, batch_first=True):
        super().__init__()
        self.embedding = nn.Embedding(num_words, 4)
        self.recurrent = nn.GRU(4, 3, batch_first=batch_first, bidirectional=bidirectional)

    def forward(self, input):
        return self.recurrent(self.embedding(input))[0]


def refusal(task, parts, factory):
    with pytest.raises(OptionError) as error:
        backbones.check(task, parts, factory)
    sentence = str(error.value)
    assert sentence.startswith("The backbone ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# What it is given and what it gives


def test_the_width_is_found_by_calling_the_network():
    backbone = backbones.build("classification", table_parts(), linear)
    assert backbone.out_features == 3
    assert backbone(table_parts().train.inputs).shape == (ROWS, 3)
    assert all(module.training for module in backbone.modules())
    assert backbones.build("text", text_parts(), functools.partial(Recurrent)).out_features == 3


def test_categories_are_embedded_before_it():
    seen = []

    def factory(in_features):
        seen.append(in_features)
        return nn.Linear(in_features, 3)

    backbone = backbones.build("classification", table_parts(levels=(9, 4)), factory)
    assert seen == [COLUMNS + 3 + 2]  # the root of the number of levels
    assert backbone(table_parts(levels=(9, 4)).train.inputs).shape == (ROWS, 3)


def test_a_text_factory_gets_the_number_of_words():
    seen = []
    backbones.build("text", text_parts(), lambda num_words: seen.append(num_words) or Recurrent(num_words))
    assert seen == [WORDS]


def test_finding_the_width_draws_nothing_and_moves_no_statistics():
    def factory(in_features):
        network = nn.Sequential(nn.BatchNorm1d(in_features), nn.Dropout(0.5))
        network.after = torch.random.get_rng_state()
        return network

    backbone = backbones.build("classification", table_parts(), factory)
    assert torch.equal(torch.random.get_rng_state(), backbone.network.after)
    assert not backbone.network[0].running_mean.any()


def test_the_inputs_may_have_any_width_and_a_lazy_layer_finds_it():
    def factory(in_features):
        return nn.LazyLinear(3)

    backbones.check("classification", table_parts(), factory)
    one, other = (
        trial.start(METHODS[name], "classification", table_parts(), 4, factory) for name in ("softmax", "nce")
    )
    assert torch.equal(one.backbone.network.weight, other.backbone.network.weight)
    assert one.backbone.network.weight.shape == (3, COLUMNS)


@pytest.mark.parametrize("task", ["classification", "text"])
def test_the_built_in_ones_pass_the_check(task):
    backbones.check(task, table_parts() if task == "classification" else text_parts(), backbones.BUILT_IN[task])


# Numbers before the built-in one


def bent(train):
    """An embedding of numbers in which every function bends somewhere."""
    embedding = backbones.NumberEmbedding(train)
    nn.init.normal_(embedding.bends, generator=torch.Generator().manual_seed(1))
    return embedding.requires_grad_(False)


def test_a_number_becomes_functions_that_bend_at_its_quantiles_and_nowhere_else():
    train = torch.randn(400, 3, generator=torch.Generator().manual_seed(0)).exp()
    embedding = bent(train)
    values = torch.cat([torch.linspace(-5, 30, 2000)[:, None].expand(-1, 3), train])
    found = embedding(values).reshape(-1, 3, backbones.NUMBER_FEATURES)
    for column in range(3):
        edges = np.quantile(train[:, column].numpy(), np.linspace(0, 1, backbones.PIECES + 1))
        for feature in range(backbones.NUMBER_FEATURES):
            heights = [0.0, *embedding.bends[column, :, feature].cumsum(0).tolist()]
            x = values[:, column].numpy()
            straight = x * embedding.weight[column, 0, feature].item() + embedding.bias[column, 0, feature].item()
            expected = straight + np.interp(x, edges, heights)
            np.testing.assert_allclose(found[:, column, feature].numpy(), expected, atol=2e-5)


def test_at_the_start_every_function_of_a_number_is_straight():
    train = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    embedding = backbones.NumberEmbedding(train)
    low, middle, high = embedding(torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])).detach()
    torch.testing.assert_close(middle, (low + high) / 2)
    assert (low != high).all()


def test_values_that_repeat_and_wild_ones_give_moderate_features():
    """Most cells are 0, the next quantiles lie close together, and then something far away is met."""
    train = torch.zeros(200, 1)
    train[-30:, 0] = torch.linspace(1, 1.0001, 30)
    embedding = bent(train)
    found = embedding(torch.tensor([[-10.0], [0.0], [1.0], [10.0]]))
    straight = 10 * embedding.weight.abs().max() + embedding.bias.abs().max()
    assert (found.abs() <= straight + embedding.bends.abs().sum(1).max()).all()


def test_a_training_part_of_one_row_has_no_pieces():
    embedding = bent(torch.ones(1, 2))
    assert torch.isfinite(embedding(torch.tensor([[3.0, -4.0]]))).all()


def test_the_state_holds_where_functions_bend():
    parts = table_parts(numbers=COLUMNS)
    ours = backbones.build("classification", parts)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
    elsewhere = Part(torch.zeros(1, COLUMNS), torch.zeros(1, dtype=torch.long))
    loaded = backbones.build("classification", Parts(*[elsewhere] * 3, parts.tested, parts.class_counts, (), COLUMNS))
    loaded.load_state_dict(ours.state_dict())
    assert torch.equal(ours.eval()(parts.test.inputs), loaded.eval()(parts.test.inputs))


def test_only_numbers_are_embedded_and_only_before_the_built_in_one():
    parts = table_parts(levels=(9,), numbers=2)
    backbone = backbones.build("classification", parts)
    assert isinstance(backbone.network, backbones.FeatureBackbone)
    assert backbone.network.bent[0].in_features == 2 * backbones.NUMBER_FEATURES + (COLUMNS - 2) + 3
    assert backbone.network.straight.in_features == COLUMNS + 3
    # those are the first two columns
    assert torch.equal(backbone.network.embed.starts[:, 0, 0], parts.train.inputs[:, :2].min(0).values)
    seen = []
    backbones.build("classification", parts, lambda size: seen.append(size) or nn.Linear(size, 3))
    assert seen == [COLUMNS + 3]


def test_where_numbers_are_many_they_stand_as_they_are(monkeypatch):
    monkeypatch.setattr(backbones, "MOST_NUMBERS", COLUMNS - 1)
    assert backbones.build("classification", table_parts(numbers=COLUMNS - 1)).network.embed is not None
    plain = backbones.build("classification", table_parts(numbers=COLUMNS)).network
    assert plain.embed is None
    assert plain.bent[0].in_features == COLUMNS


def stripes(rows=900):
    """Which of ten stripes a number lies in is told by nothing but its value."""
    x, noise = np.random.default_rng(0).uniform(0, 10, (2, rows))
    return read_table("stripes", pd.DataFrame({"x": x, "noise": noise, "y": np.floor(x) % 2}), "y")


def test_numbers_that_decide_in_steps_are_learned():
    dataset = stripes()
    parts = dataset.parts(0)
    plan = trial.Plan("classification", "top1", dataset.measured_ids, epochs=20, patience=20, batch_size=32)
    fabric = Fabric(accelerator="cpu", devices=1)

    def reached(parts):
        _, training = trial.train(METHODS["softmax"], plan, parts, repeat=0, learning_rate=1e-2, fabric=fabric)
        return training.best_validation

    assert parts.numbers == 2
    assert reached(parts) > 0.9 > 0.8 > reached(dataclasses.replace(parts, numbers=0))


# What is refused


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_nets", "A backbone is named package.module:factory, got 'own_nets'."),
        (":make", "A backbone is named package.module:factory, got ':make'."),
        ("own_nets:", "A backbone is named package.module:factory, got 'own_nets:'."),
        (
            "nowhere_nets:make",
            "The backbone nowhere_nets:make cannot be imported: ModuleNotFoundError: No module named 'nowhere_nets'.",
        ),
        ("own_nets.deep:make", "The backbone own_nets.deep:make cannot be imported: ModuleNotFoundError: No module"),
        ("broken_nets:make", "The backbone broken_nets:make cannot be imported: RuntimeError: no weights here."),
        ("ending_nets:make", "The backbone ending_nets:make cannot be imported: SystemExit: 3."),
        ("own_nets:maker", "The backbone own_nets:maker does not exist: module 'own_nets' has no 'maker'."),
        ("own_nets:SIZE", "The backbone own_nets:SIZE is of type int: expected a function or class."),
        ("own_nets:NETWORK", "The backbone own_nets:NETWORK is one network, and each training needs a new one:"),
    ],
)
def test_a_name_that_leads_to_no_factory_is_one_sentence(tmp_path, monkeypatch, name, said):
    (tmp_path / "own_nets.py").write_text("import torch.nn\nSIZE = 3\nNETWORK = torch.nn.Linear(2, 2)\n")
    (tmp_path / "broken_nets.py").write_text("raise RuntimeError('no weights\\n here.')")
    (tmp_path / "ending_nets.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    with pytest.raises(OptionError) as error:
        backbones.find(name)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
    sys.modules.pop("own_nets", None)


def test_a_name_may_lead_into_a_class():
    assert backbones.find("torch.nn:Linear") is nn.Linear
    assert backbones.find("torch.nn:Module.cpu") is nn.Module.cpu
    assert backbones.find(linear) is linear


def failing(in_features):
    raise KeyError("depth")


class NotOurs(nn.Module):
    """Says another width than it has."""

    def __init__(self, in_features):
        super().__init__()
        self.inner, self.out_features = nn.Linear(in_features, 3), 4

    def forward(self, input):
        return self.inner(input)


class Returns(nn.Module):
    """Whatever a function makes of the inputs."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, input):
        return self.function(input)


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        (failing, f"failing failed when called with {COLUMNS}: KeyError: 'depth'."),
        (lambda in_features: 3, "must return a torch.nn.Module, got one of type int."),
        (NotOurs, "NotOurs says out_features = 4 and gives 3 features."),
        (
            lambda in_features: nn.Linear(in_features + 1, 3),
            "failed on inputs of shape (4, 5): RuntimeError: mat1 and mat2 shapes cannot be multiplied (4x5 and 6x3).",
        ),
        (
            lambda in_features: Returns(lambda x: x.sum(1)),
            "must turn inputs of shape (4, 5) into a float32 tensor of shape (4, features), got one of float32 and "
            "shape (4,).",
        ),
        (lambda in_features: Returns(lambda x: x.T), "(4, features), got one of float32 and shape (5, 4)."),
        (lambda in_features: Returns(lambda x: x[:, None]), "(4, features), got one of float32 and shape (4, 1, 5)."),
        (lambda in_features: Returns(lambda x: x[:, :0]), "(4, features), got one of float32 and shape (4, 0)."),
        (lambda in_features: Returns(torch.sum), "(4, features), got one of float32 and shape ()."),
        (lambda in_features: Returns(lambda x: x.long()), "(4, features), got one of int64 and shape (4, 5)."),
        (lambda in_features: Returns(lambda x: x.double()), "(4, features), got one of float64 and shape (4, 5)."),
        (lambda in_features: Returns(lambda x: (x, x)), "(4, features), got an object of type tuple."),
        (lambda in_features: Returns(lambda x: x.mul_(2)), "changes its inputs in place: expected it to leave them"),
    ],
    ids=[
        "factory fails",
        "no module",
        "wrong out_features",
        "network fails",
        "rank 1",
        "transposed",
        "rank 3",
        "no feature",
        "a scalar",
        "integers",
        "float64",
        "a tuple",
        "in place",
    ],
)
def test_a_network_that_does_not_fit_is_one_sentence(factory, said):
    assert said in refusal("classification", table_parts(), factory)


def test_features_of_a_text_stand_at_each_position():
    said = "into a float32 tensor of shape (4, 7, features), got one of float32 and shape (4, 3)."
    assert said in refusal("text", text_parts(), lambda n: nn.Sequential(Recurrent(n), Returns(lambda x: x[:, -1])))


def test_a_network_that_carries_training_over_is_refused():
    said = "shares weights between two calls, so one method would go on where another stopped"
    network = nn.Linear(COLUMNS, 3)
    assert said in refusal("classification", table_parts(), lambda in_features: network)
    assert said in refusal("classification", table_parts(), lambda in_features: nn.Sequential(network, nn.ReLU()))
    statistics = nn.BatchNorm1d(COLUMNS, affine=False)
    assert said in refusal("classification", table_parts(), lambda in_features: nn.Sequential(statistics))
    nothing = nn.Identity()
    assert said in refusal("classification", table_parts(), lambda in_features: nothing)
    # an activation holds nothing, so networks may share it
    relu = nn.ReLU()
    backbones.check("classification", table_parts(), lambda in_features: nn.Sequential(nn.Linear(in_features, 3), relu))


def test_a_network_whose_start_does_not_follow_from_the_seed_is_refused():
    own = torch.Generator().manual_seed(0)

    def factory(in_features):
        network = nn.Linear(in_features, 3)
        nn.init.normal_(network.weight, generator=own)
        return network

    said = "starts differently at the same torch.manual_seed, so methods would not share their start"
    assert said in refusal("classification", table_parts(), factory)
    sizes = iter([3, 4])
    assert said in refusal("classification", table_parts(), lambda n: nn.Linear(n, next(sizes)))
    depths = iter([1, 2])
    assert said in refusal(
        "classification", table_parts(), lambda n: nn.Sequential(*[nn.Linear(n, n) for _ in range(next(depths))])
    )


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"batch_first": False}], ids=["backwards", "windows"])
def test_a_text_network_that_sees_the_word_to_predict_is_refused(options):
    assert "give away the word to predict" in refusal("text", text_parts(), functools.partial(Recurrent, **options))
    backbones.check("text", text_parts(), Recurrent)


# In a comparison


def test_a_factory_is_recognised_by_its_name():
    assert backbones.name_of(nn.Linear) == "torch.nn.modules.linear:Linear"
    assert backbones.name_of(Recurrent.forward) == f"{__name__}:Recurrent.forward"
    shallow = functools.partial(Recurrent, bidirectional=True)
    assert backbones.name_of(shallow) == f"{__name__}:Recurrent(bidirectional=True)"


class Maker:
    """An object that makes networks, and counts them."""

    def __init__(self):
        self.made = 0

    def __call__(self, in_features):
        self.made += 1
        return nn.Sequential(nn.Linear(in_features, 7), nn.BatchNorm1d(7), nn.ReLU())


def test_a_comparison_trains_a_new_network_each_time():
    maker = Maker()
    comparison = compare("wine", backbone=maker, methods=["softmax", "sigmoid"], seeds=2, epochs=1, device="cpu")
    checked, paced, trained = 2, 2, 2 * 2 * 3  # methods, repeats, rates
    assert maker.made == checked + paced + trained
    assert comparison.options["backbone"] == comparison.asked["backbone"] == f"{__name__}:Maker"
    assert {t.parameters for t in comparison.trials} == {13 * 7 + 7 + 7 + 7 + 7 * 3 + 3}


def test_the_built_in_backbone_is_named_too():
    comparison = compare("wine", methods=["softmax"], seeds=1, epochs=1, lr=1e-2, device="cpu")
    assert comparison.options["backbone"] == "anymax.lab.training.backbones:FeatureBackbone"
    assert comparison.asked["backbone"] is None


def test_frozen_weights_are_not_counted_as_learned_and_a_backbone_may_have_none(tmp_path):
    def frozen(in_features):
        return nn.Linear(in_features, 2).requires_grad_(False)

    options = {"methods": ["softmax"], "seeds": 1, "epochs": 1, "lr": 1e-2, "device": "cpu"}
    assert compare("wine", backbone=frozen, **options).trials[0].parameters == 2 * 3 + 3
    assert compare("wine", backbone=lambda n: nn.Identity(), **options).trials[0].parameters == 13 * 3 + 3


def test_a_backbone_that_cannot_be_used_leaves_nothing_behind(tmp_path):
    with pytest.raises(OptionError, match="NotOurs says out_features = 4"):
        compare("wine", backbone=NotOurs, output=tmp_path / "out")
    with pytest.raises(OptionError, match="nowhere_nets"):
        compare("wine", backbone="nowhere_nets:make", output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_run_does_not_go_on_with_a_backbone_of_other_shapes(tmp_path):
    def of_width(width):
        def make(in_features):
            return nn.Linear(in_features, width)

        return make

    def stop(event):
        if isinstance(event, TrainingDone):
            raise KeyboardInterrupt

    options = {"methods": ["softmax", "sigmoid"], "seeds": 1, "epochs": 1, "lr": 1e-2, "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        compare("wine", backbone=of_width(4), output=tmp_path, progress=stop, **options)
    with pytest.raises(OptionError, match="holds trainings of another backbone than this one of the same name"):
        compare("wine", backbone=of_width(5), output=tmp_path, **options)
    assert len(compare("wine", backbone=of_width(4), output=tmp_path, **options).trials) == 2


def test_an_own_backbone_of_a_text_is_trained(tmp_path):
    words = [f"w{i}" for i in torch.randint(13, (1500,), generator=torch.Generator().manual_seed(0)).tolist()]
    (tmp_path / "text.txt").write_text("\n".join(" ".join(words[i : i + 10]) for i in range(0, 1500, 10)))
    comparison = compare(
        tmp_path / "text.txt", backbone=Recurrent, methods=["softmax"], seeds=1, epochs=2, lr=1e-2, device="cpu"
    )
    (found,) = comparison.trials
    classes = comparison.data.num_classes
    assert found.parameters == classes * 4 + 3 * 3 * (4 + 3 + 2) + classes * 3 + classes
    assert found.tested.measures["perplexity"] is not None


@pytest.mark.parametrize(
    "backbone",
    [
        functools.partial(linear, torch.zeros(50, 50)),
        functools.partial(Recurrent, name="m\x1b" * 5_000_000),
        "m\x1b" * 5_000_000,
        "m\x1b" * 5_000_000 + ":make",
        "math:" + "m\x1b" * 5_000_000,
    ],
)
def test_the_name_of_a_backbone_is_cut_and_acts_on_no_terminal(backbone):
    with pytest.raises(OptionError, match=r"^(The|A) backbone ") as caught:
        compare("wine", backbone=backbone, methods=["softmax"], seeds=1, epochs=1, lr=1e-2, device="cpu")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


class Failing(nn.Module):
    """Fails in one place, after the check of a backbone has let it pass."""

    def __init__(self, in_features, place, error):
        super().__init__()
        self.place, self.error = place, error
        self.embedding = nn.Embedding(2, 3, sparse=place == "optimizer")

    def forward(self, input):
        looked_at = not self.training and len(input) > backbones.PROBED
        if (self.place == "training" and self.training) or (self.place == "looking" and looked_at):
            raise self.error
        features = self.embedding((input[:, 0] > 0).long())
        if self.place == "backward" and self.training:
            features.register_hook(self.fail)
        return features[:-1] if self.place == "head" and self.training else features

    def fail(self, gradient):
        raise self.error


def compare_failing(place, error):
    backbone = functools.partial(Failing, place=place, error=error)
    compare("wine", backbone=backbone, methods=["softmax", "sigmoid"], seeds=1, epochs=1, lr=1e-2, device="cpu")


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("training", r"failed on inputs of shape \(\d+, 13\): KeyError: 'a thing\.\\x1b'\.$"),
        ("looking", r"failed on inputs of shape \(\d+, 13\): KeyError: 'a thing\.\\x1b'\.$"),
        ("backward", r"failed in a training step: KeyError: 'a thing\.\\x1b'\.$"),
        ("optimizer", r"failed in a training step: RuntimeError: .*sparse.*\.$"),
        ("head", r"failed in a training step: \w+Error: .*\.$"),
    ],
)
def test_a_backbone_that_fails_in_training_is_one_sentence(place, says):
    with pytest.raises(OptionError, match=rf"^The backbone {re.escape(__name__)}:Failing\(.* {says}") as caught:
        compare_failing(place, KeyError("a thing.\x1b"))
    assert str(caught.value).isprintable()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("place", ["training", "looking", "backward"])
@pytest.mark.parametrize("error", [OptionError("Said already."), KeyboardInterrupt()])
def test_what_a_backbone_refuses_itself_and_ctrl_c_pass_unchanged(place, error):
    with pytest.raises(type(error)) as caught:
        compare_failing(place, error)
    assert caught.value is error


def test_without_an_own_backbone_an_error_in_a_step_is_a_mistake_of_ours(monkeypatch):
    class Wrong(SoftmaxHead):
        def forward(self, input, target):
            raise KeyError("a mistake")

    def make(in_features, class_counts):
        return Wrong(in_features, len(class_counts), class_counts=class_counts)

    monkeypatch.setitem(METHODS, "softmax", Method("softmax", "softmax", make, defines_law=True))
    with pytest.raises(KeyError, match="a mistake"):
        compare("wine", methods=["softmax"], seeds=1, epochs=1, lr=1e-2, device="cpu")


def test_a_last_batch_of_one_row_joins_the_one_before():
    """Batch normalisation is not defined on it."""
    parts = table_parts()
    rows = Part(parts.train.inputs.repeat(3, 1)[:17], parts.train.targets.repeat(3)[:17])
    parts = Parts(rows, parts.validation, parts.test, parts.tested, parts.class_counts)
    plan = trial.Plan("classification", "top1", [0, 1], 2, 5, batch_size=4, backbone=Maker())
    fabric = Fabric(accelerator="cpu", devices=1)
    _, training = trial.train(METHODS["softmax"], plan, parts, repeat=0, learning_rate=1e-2, fabric=fabric)
    assert training.best is not None

    def sizes(rows, batch_size, world_size):
        sizes, seen = [], []
        for batch, ends in trial._batches(rows, batch_size, torch.Generator().manual_seed(0), world_size):
            sizes.append(len(batch))
            seen += batch.tolist()
            if ends:
                assert sorted(seen) == list(range(rows))
                return sizes
        return None

    assert sizes(17, 4, world_size=1) == [4, 4, 4, 5]
    assert sizes(18, 4, world_size=1) == [4, 4, 4, 4, 2]
    assert sizes(18, 4, world_size=2) == [4, 4, 4, 6]
    assert sizes(19, 4, world_size=2) == [4, 4, 4, 4, 3]
    assert sizes(1, 4, world_size=1) == [1]
