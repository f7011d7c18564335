"""Modules call the function of their name, and keep arguments as buffers, parameters and attributes."""

import copy
import inspect
import math
import pickle
import typing
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import anymax
from anymax import noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scores(*shape, seed=0):
    return 2 * torch.randn(shape, generator=generator(seed))


MASK = torch.tensor([True, False, True, True])


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (anymax.nn.Softmax(1), lambda x: anymax.softmax(x, 1)),
        (anymax.nn.Softmin("a [b]", temperature=2.0), lambda x: anymax.softmin(x, 1, temperature=2.0)),
        (anymax.nn.LogSoftmax(dim=1, sink=0.5), lambda x: anymax.log_softmax(x, 1, sink=0.5)),
        (anymax.nn.LogSumExp((0, 1), True), lambda x: anymax.logsumexp(x, (0, 1), True)),
        (anymax.nn.Sparsemax((0, 1), temperature=2.0), lambda x: anymax.sparsemax(x, (0, 1), temperature=2.0)),
        (anymax.nn.Entmax(1, alpha=1.25), lambda x: anymax.entmax(x, 1, alpha=1.25)),
        (anymax.nn.Entropy(1, temperature=2.0), lambda x: anymax.entropy(x, 1, temperature=2.0)),
    ],
)
def test_maps_call_their_function(module, function):
    x = scores(3, 4)
    assert torch.equal(module(x), function(x))
    assert torch.equal(module(x, MASK)[..., :1].isfinite(), function(x)[..., :1].isfinite())
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), module(x))


def test_a_mask_goes_into_forward():
    x = scores(3, 4)
    assert torch.equal(anymax.nn.Softmax(1)(x, MASK), anymax.softmax(x, 1, mask=MASK))
    assert torch.equal(
        anymax.nn.GumbelSoftmax(dim=1)(x, MASK, torch.tensor(1)),
        anymax.gumbel_softmax(x, dim=1, mask=MASK, generator=torch.tensor(1)),
    )


def test_entropy_takes_a_mask_and_learns_its_temperature():
    x = scores(3, 4)
    module = anymax.nn.Entropy("a [b]", temperature=nn.Parameter(torch.tensor(2.0)))
    result = module(x, MASK)
    assert torch.equal(result, anymax.entropy(x, 1, temperature=module.temperature, mask=MASK))
    result.sum().backward()
    assert module.temperature.grad > 0
    assert repr(module) == "Entropy(dim='a [b]', temperature=2)"


def test_softmax2d_is_per_pixel():
    x = scores(2, 3, 4, 5)
    assert_close(anymax.nn.Softmax2d()(x), nn.Softmax2d()(x))
    assert_close(anymax.nn.Softmax2d()(x[0]), nn.Softmax2d()(x[0]))
    with pytest.raises(ValueError, match=r"Softmax2d: input must be \(N, C, H, W\) or \(C, H, W\), got shape \(2, 3\)"):
        anymax.nn.Softmax2d()(scores(2, 3))


def test_tensors_become_buffers_and_parameters_stay():
    number, tensor = anymax.nn.Softmax(1, temperature=2.0), anymax.nn.Softmax(1, temperature=torch.tensor(2.0))
    learnt = anymax.nn.Softmax(1, temperature=nn.Parameter(torch.tensor(2.0)), sink=nn.Parameter(torch.zeros(1)))
    assert number.state_dict() == {}
    assert list(tensor.state_dict()) == ["temperature"]
    assert [name for name, _ in learnt.named_parameters()] == ["temperature", "sink"]
    learnt(scores(3, 4))[:, 0].sum().backward()
    assert learnt.temperature.grad is not None
    assert learnt.sink.grad is not None
    assert repr(number) == "Softmax(dim=1, temperature=2.0)"
    assert repr(anymax.nn.Softmax(1, sink=torch.zeros(3, 1))) == (
        "Softmax(dim=1, temperature=1.0, sink=tensor of shape (3, 1))"
    )


def test_gumbel_softmax_keeps_its_temperature_in_the_state():
    module = anymax.nn.GumbelSoftmax(2.0, hard=True, dim=1)
    module.tau.fill_(0.5)
    other = anymax.nn.GumbelSoftmax(dim=1)
    other.load_state_dict(module.state_dict())
    assert other.tau == 0.5
    x, seed = scores(4, 5), torch.tensor(3)
    assert torch.equal(module(x, generator=seed), anymax.gumbel_softmax(x, 0.5, True, dim=1, generator=seed))
    assert torch.equal(module.eval()(x, generator=seed), module.train()(x, generator=seed))
    with pytest.raises(ValueError, match="tau must be greater than 0"):
        anymax.nn.GumbelSoftmax(0.0, dim=1)(x)


def test_losses_call_their_function():
    x, target = scores(6, 5), torch.randint(5, (6,), generator=generator(1))
    weight = torch.rand(5, generator=generator(2))
    options = {"label_smoothing": 0.1, "z_loss": 0.01, "softcap": 5.0, "temperature": 2.0, "reduction": "sum"}
    module = anymax.nn.CrossEntropyLoss(weight, ignore_index=0, **options)
    assert torch.equal(module(x, target), anymax.cross_entropy(x, target, weight, ignore_index=0, **options))
    assert list(module.state_dict()) == ["weight"]
    module = anymax.nn.CrossEntropyLoss(class_prior=weight, z_loss=0.1)
    assert torch.equal(module(x, target), anymax.cross_entropy(x, target, class_prior=weight, z_loss=0.1))
    assert list(module.state_dict()) == ["class_prior"]
    learned = nn.Parameter(weight)
    assert list(anymax.nn.CrossEntropyLoss(class_prior=learned).parameters()) == [learned]
    yes = (target[:, None] == torch.arange(5)).float()
    module = anymax.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0), reduction="sum")
    assert torch.equal(
        module(x, yes),
        anymax.binary_cross_entropy_with_logits(x, yes, pos_weight=torch.tensor(3.0), reduction="sum"),
    )


@pytest.mark.skipif(not hasattr(nn, "LinearCrossEntropyLoss"), reason="this torch lacks it")
@pytest.mark.parametrize("bias", [False, True])
def test_linear_cross_entropy_loss_takes_the_state_of_torchs_module(bias):
    weight = torch.rand(20, generator=generator(2))
    theirs = nn.LinearCrossEntropyLoss(6, 20, bias=bias, weight=weight, label_smoothing=0.1)
    mine = anymax.nn.LinearCrossEntropyLoss(6, 20, bias=bias, weight=weight, label_smoothing=0.1)
    mine.load_state_dict(theirs.state_dict())
    features, target = scores(7, 6), torch.randint(20, (7,), generator=generator(1))
    assert_close(mine(features, target), theirs(features, target))
    assert_close(mine(features, target.view(7), torch.ones(20, dtype=torch.bool)), mine(features, target))
    chunked = anymax.nn.LinearCrossEntropyLoss(6, 20, bias=bias, weight=weight, label_smoothing=0.1, chunks=3)
    chunked.load_state_dict(theirs.state_dict())
    chunked(features, target).backward()
    theirs(features, target).backward()
    assert_close(chunked.linear.weight.grad, theirs.linear.weight.grad)


def test_info_nce_learns_its_temperature():
    query, key = scores(6, 4), scores(6, 4, seed=1)
    module = anymax.nn.InfoNCELoss(temperature=nn.Parameter(torch.tensor(0.5)), symmetric=True)
    loss = module(query, key)
    assert torch.equal(loss, anymax.info_nce(query, key, temperature=module.temperature, symmetric=True))
    loss.backward()
    assert module.temperature.grad != 0
    assert list(anymax.nn.InfoNCELoss(temperature=torch.tensor(0.5)).state_dict()) == ["temperature"]


def test_noise_losses_call_their_function():
    features, table, bias = scores(6, 3), scores(20, 3, seed=1), scores(20, seed=2)
    target, seed, law = torch.randint(20, (6,), generator=generator(3)), torch.tensor(5), noise.Uniform(20)
    nce = anymax.nn.NCELoss(law, num_noise=4, log_partition=1.0)
    assert torch.equal(
        nce(features, table, target, bias, seed),
        anymax.nce_loss(features, table, target, law, num_noise=4, log_partition=1.0, linear_bias=bias, generator=seed),
    )
    negative = anymax.nn.NegativeSamplingLoss(law, num_noise=4)
    assert torch.equal(
        negative(features, table, target, bias, seed),
        anymax.negative_sampling_loss(features, table, target, law, num_noise=4, linear_bias=bias, generator=seed),
    )
    sampled = anymax.nn.SampledSoftmaxLoss(law, num_noise=4, correction="importance")
    assert torch.equal(
        sampled(features, table, target, bias, seed),
        anymax.sampled_softmax_loss(
            features, table, target, law, num_noise=4, correction="importance", linear_bias=bias, generator=seed
        ),
    )


def test_the_number_of_draws_is_that_of_the_function_unless_told():
    law = noise.Uniform(12)
    for function, loss, head in (
        (anymax.nce_loss, anymax.nn.NCELoss, anymax.nn.NCEHead),
        (anymax.negative_sampling_loss, anymax.nn.NegativeSamplingLoss, anymax.nn.NegativeSamplingHead),
        (anymax.sampled_softmax_loss, anymax.nn.SampledSoftmaxLoss, anymax.nn.SampledSoftmaxHead),
    ):
        expected = inspect.signature(function).parameters["num_noise"].default
        assert loss(law).num_noise == head(6, 12, noise=law).num_noise == expected


@pytest.mark.parametrize("loss", [anymax.nn.NCELoss, anymax.nn.NegativeSamplingLoss, anymax.nn.SampledSoftmaxLoss])
def test_a_noise_loss_wants_a_law(loss):
    with pytest.raises(TypeError, match=f"{loss.__name__}: noise must be a law of anymax.noise .*type Tensor"):
        loss(torch.ones(5))


HEADS = {
    "softmax": lambda **options: anymax.nn.SoftmaxHead(6, 12, **options),
    "gumbel": lambda **options: anymax.nn.GumbelSoftmaxHead(6, 12, **options),
    "sparsemax": lambda **options: anymax.nn.SparsemaxHead(6, 12, **options),
    "entmax": lambda **options: anymax.nn.EntmaxHead(6, 12, **options),
    "sigmoid": lambda **options: anymax.nn.SigmoidHead(6, 12, **options),
    "focal": lambda **options: anymax.nn.FocalHead(6, 12, **options),
    "nce": lambda **options: anymax.nn.NCEHead(6, 12, **{"noise": noise.Uniform(12), **options}),
    "negative": lambda **options: anymax.nn.NegativeSamplingHead(6, 12, **{"noise": noise.Uniform(12), **options}),
    "sampled": lambda **options: anymax.nn.SampledSoftmaxHead(
        6, 12, **{"noise": noise.Uniform(12), "num_noise": 5, **options}
    ),
}
LAWFUL = [name for name in HEADS if name not in ("focal", "sigmoid")]
MAPS = {"sparsemax": anymax.sparsemax, "entmax": anymax.entmax}


@pytest.fixture(params=HEADS)
def make(request):
    torch.manual_seed(0)
    return HEADS[request.param]


def test_every_head_has_the_interface(make):
    head = make()
    features, target = scores(4, 3, 6), torch.randint(12, (4, 3), generator=generator(1))
    loss = head(features, target)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    assert head.weight.grad.shape == (12, 6)
    assert head.bias.grad.shape == (12,)
    assert make(reduction="none")(features, target).shape == (4, 3)
    values, indices = head.predict(features, k=3)
    assert values.shape == indices.shape == (4, 3, 3)
    assert torch.equal(indices, head.scores(features).topk(3, -1).indices)
    assert "in_features=6, num_classes=12" in repr(head)


def test_without_a_target_a_head_is_a_linear_layer(make):
    head = make()
    features, target = scores(4, 3, 6), torch.randint(12, (4, 3), generator=generator(1))
    expected = nn.functional.linear(features, head.weight, head.bias)
    assert torch.equal(head(features), expected)
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    assert_close(compiled(features), expected)
    assert compiled(features, target).shape == ()
    assert_close(compiled(features), expected)
    predict = torch.compile(head.predict, fullgraph=True, backend="aot_eager")
    assert torch.equal(predict(features, 2)[1], head.predict(features, 2)[1])


def test_a_call_of_a_head_is_typed(make):
    # nn.Module says Any, which `mypy --strict` refuses to return
    assert typing.get_type_hints(type(make()))["__call__"] == Callable[..., torch.Tensor]


@pytest.mark.parametrize("name", LAWFUL)
def test_log_prob_is_exactly_normalised_and_samples_follow_it(name):
    head = HEADS[name]()
    features = scores(5, 6)
    log_probs = head.log_prob(features)
    assert_close(log_probs.exp().sum(-1), torch.ones(5))
    map = MAPS.get(name, anymax.softmax)
    assert_close(log_probs, map(features @ head.weight.T + head.bias, -1).log())
    values, indices = head.predict(features, k=2)
    assert torch.equal(values, log_probs.gather(-1, indices))
    ids = head.sample(features, 7, generator=torch.tensor(1))
    assert ids.shape == (7, 5)
    assert head.sample(features).shape == (5,)


@pytest.mark.parametrize("name", ["sigmoid", "focal"])
def test_a_head_without_a_law_says_so(name):
    message = f"{name.capitalize()}Head: independent yes/no decisions give no probabilities"
    for method in ("log_prob", "sample"):
        with pytest.raises(NotImplementedError, match=message):
            getattr(HEADS[name](), method)(scores(2, 6))


def test_eval_changes_no_number(make):
    head = make()
    features, target = scores(4, 6), torch.tensor([0, 3, 11, 7])
    answers = []
    for mode in (head.train, head.eval):
        mode()
        torch.manual_seed(1)
        answers.append((head(features, target), head.predict(features)[0]))
    assert torch.equal(answers[0][0], answers[1][0])
    assert torch.equal(answers[0][1], answers[1][1])


def test_a_linear_layer_loads_and_an_embedding_ties(make):
    linear = nn.Linear(6, 12)
    head = make()
    missing, unexpected = head.load_state_dict(linear.state_dict(), strict=False)
    assert missing == unexpected == []
    assert torch.equal(head.scores(scores(2, 6)), linear(scores(2, 6)))
    embedding = nn.Embedding(12, 6)
    head.weight = embedding.weight
    head(scores(2, 6), torch.tensor([1, 2])).backward()
    assert embedding.weight.grad is not None


COUNTS = torch.arange(12)


def heads_with_a_state():
    """Heads that hold more than a class table."""
    return {
        "prior": anymax.nn.SoftmaxHead(6, 12, class_prior=COUNTS),
        "tau": anymax.nn.GumbelSoftmaxHead(6, 12, tau=0.25),
        "alpha": anymax.nn.EntmaxHead(6, 12, alpha=nn.Parameter(torch.tensor(1.25))),
        "alpha-tensor": anymax.nn.EntmaxHead(6, 12, alpha=torch.tensor(1.25)),
        "tau-tensor": anymax.nn.GumbelSoftmaxHead(6, 12, tau=torch.full((1,), 0.25)),
        "nce": anymax.nn.NCEHead(6, 12, class_counts=COUNTS),
        "negative": anymax.nn.NegativeSamplingHead(6, 12, noise=noise.LearnedUnigram(12)),
        "sampled": anymax.nn.SampledSoftmaxHead(6, 12, noise=noise.Unigram(COUNTS + 1, 0.5), num_noise=5),
    }


@pytest.mark.parametrize("name", heads_with_a_state())
@pytest.mark.parametrize("assign", [False, True])
def test_a_linear_layer_loads_strictly_and_leaves_tau_and_law(name, assign):
    head, linear = heads_with_a_state()[name], nn.Linear(6, 12)
    own = {key: value.clone() for key, value in head.state_dict().items() if key not in ("weight", "bias")}
    assert len(own) == 1
    # within a model as well, whose prefix the keys then have
    nn.Sequential(nn.Identity(), head).load_state_dict(nn.Sequential(nn.Identity(), linear).state_dict(), assign=assign)
    head.load_state_dict(linear.state_dict(), assign=assign)
    assert torch.equal(head.weight, linear.weight)
    for key, value in own.items():
        assert torch.equal(head.state_dict()[key], value)
    # nothing else may be missing
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "bias"'):
        head.load_state_dict({"weight": linear.weight})
    with pytest.raises(RuntimeError, match=r"Missing key\(s\) in state_dict: \"probabilities\""):
        noise.Unigram(COUNTS).load_state_dict({})


def test_a_state_dict_brings_its_law():
    features, target, at = scores(6, 6), torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor(1)
    one = anymax.nn.NCEHead(6, 12, class_counts=COUNTS, num_noise=4)
    other = anymax.nn.NCEHead(6, 12, class_counts=COUNTS.flip(0) ** 3, num_noise=4)
    assert not torch.equal(other.noise.log_prob(COUNTS), one.noise.log_prob(COUNTS))
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.noise.log_prob(COUNTS), one.noise.log_prob(COUNTS))
    assert torch.equal(other(features, target, at), one(features, target, at))


@pytest.mark.parametrize("counts", [None, COUNTS, COUNTS.tolist()], ids=["no-counts", "tensor", "list"])
@pytest.mark.parametrize("how", ["device", "context", "reset"])
def test_a_head_made_on_meta_starts_as_any_other(make, counts, how):
    options = {} if counts is None else {"class_counts": counts, "noise": None}
    if make not in (HEADS["nce"], HEADS["sampled"]):
        options.pop("noise", None)
    expected = make(**options)
    if how == "device":
        head = make(**options, device="meta")
    elif how == "context":
        with torch.device("meta"):
            head = make(**options)
    else:
        head = make(**options)
    if how != "reset":
        assert head.weight.is_meta
        assert head.bias.is_meta
        head.to_empty(device="cpu")
    for tensor in (*head.parameters(), *head.buffers(recurse=False)):
        tensor.detach().fill_(7.0)
    torch.manual_seed(0)
    head.reset_parameters()
    for name, tensor in expected.state_dict().items():
        assert torch.equal(head.state_dict()[name], tensor), name
    features, target = scores(4, 6), torch.tensor([0, 3, 11, 7])
    torch.manual_seed(5)
    loss = head(features, target)
    torch.manual_seed(5)
    assert torch.equal(loss, expected(features, target))


def test_a_prior_acts_in_the_loss_alone():
    prior = COUNTS + 1
    head, plain = anymax.nn.SoftmaxHead(6, 12, class_prior=prior), anymax.nn.SoftmaxHead(6, 12)
    plain.load_state_dict({"weight": head.weight, "bias": head.bias})
    features, target, at = scores(4, 6), torch.tensor([0, 3, 11, 7]), torch.tensor(1)
    assert_close(head(features, target), anymax.cross_entropy(plain(features), target, class_prior=prior))
    assert not torch.isclose(head(features, target), plain(features, target))
    assert torch.equal(head(features), plain(features))
    assert torch.equal(head.log_prob(features), plain.log_prob(features))
    assert torch.equal(head.predict(features, 3)[0], plain.predict(features, 3)[0])
    assert torch.equal(head.sample(features, 9, generator=at), plain.sample(features, 9, generator=at))
    # the way back to data like the training data
    with_prior = anymax.log_prob(head(features), target, class_prior=head.class_prior)
    assert_close(-with_prior.log_prob.mean(), head(features, target))


def test_a_prior_is_a_buffer_that_casts_leave_alone():
    counts = torch.tensor([100_000, *range(1, 12)])
    for head in (
        anymax.nn.SoftmaxHead(6, 12, class_prior=counts, dtype=torch.bfloat16),
        anymax.nn.SoftmaxHead(6, 12, class_prior=counts.tolist()).half(),
    ):
        assert head.class_prior.dtype == torch.float32
        assert torch.equal(head.class_prior.long(), counts)
        assert head(scores(4, 6).to(head.weight.dtype), torch.tensor([0, 3, 11, 7])).isfinite()
    assert anymax.nn.SoftmaxHead(6, 12, class_prior=counts, dtype=torch.float64).class_prior.dtype == torch.float64
    other = anymax.nn.SoftmaxHead(6, 12, class_prior=counts.flip(0))
    other.load_state_dict(head.state_dict())
    assert torch.equal(other.class_prior, head.class_prior)
    # it is the head's own
    mine = counts.float()
    head = anymax.nn.SoftmaxHead(6, 12, class_prior=mine)
    mine.zero_()
    head.reset_parameters()
    assert torch.equal(head.class_prior.long(), counts)


@pytest.mark.parametrize("kept", [COUNTS, COUNTS.tolist()], ids=["tensor", "list"])
def test_a_prior_starts_where_it_was_given(kept):
    head = anymax.nn.SoftmaxHead(6, 12, class_prior=kept, device="meta")
    assert head.class_prior.is_meta
    head.to_empty(device="cpu")
    head.class_prior.fill_(7.0)
    head.reset_parameters()
    assert torch.equal(head.class_prior.long(), COUNTS)


def test_bad_priors_of_a_head_are_told():
    for prior, words in (
        ([1.0] * 11, r"class_prior must have one entry per class, shape \(12,\), got \(11,\)"),
        ([-1.0] * 12, "class_prior must hold finite weights of at least 0"),
        (torch.ones(12, requires_grad=True), r"class_prior is not trained by a head; write class_prior.detach\(\)"),
    ):
        with pytest.raises(ValueError, match=f"SoftmaxHead: {words}"):
            anymax.nn.SoftmaxHead(6, 12, class_prior=prior)
    with torch.device("meta"):
        head = anymax.nn.SoftmaxHead(6, 12, class_prior=COUNTS.to("meta"))
    head.to_empty(device="cpu")
    with pytest.raises(ValueError, match="there are no values in class_prior, made on the meta device"):
        head.reset_parameters()


def test_counts_made_on_meta_are_missed_when_they_are_needed():
    with torch.device("meta"):
        head = anymax.nn.NCEHead(6, 12, class_counts=torch.arange(12))
    head.to_empty(device="cpu")
    # memory may hold an earlier law
    head.noise.probabilities.fill_(4.0)
    with pytest.raises(ValueError, match=r"NCEHead\.reset_parameters: there are no values in class_counts, made on"):
        head.reset_parameters()
    with pytest.raises(ValueError, match="Unigram holds no probabilities"):
        head(scores(2, 6), torch.tensor([1, 2]))
    trained = anymax.nn.NCEHead(6, 12, class_counts=COUNTS)
    head.load_state_dict(trained.state_dict())
    assert torch.equal(
        head(scores(2, 6), torch.tensor([1, 2]), torch.tensor(1)),
        trained(scores(2, 6), torch.tensor([1, 2]), torch.tensor(1)),
    )


def test_features_of_a_wrong_width_are_one_sentence(make):
    for call in (lambda head: head(torch.zeros(2, 5)), lambda head: head(torch.zeros(2, 5), torch.tensor([0, 1]))):
        with pytest.raises(ValueError, match=r"\(2, 5\)|\(classes, 5\)") as raised:
            call(make())
        assert "\n" not in str(raised.value)
    with pytest.raises(TypeError, match=r"Head\.scores: input must be a floating-point tensor, got torch\.int64"):
        make()(torch.zeros(2, 6).long())


def test_an_only_class_has_finite_odds():
    head = anymax.nn.SigmoidHead(5, 1, class_counts=torch.tensor([9]))
    assert_close(head.bias.detach(), torch.tensor([10.0]).log())


def test_ignored_rows_and_bad_targets(make):
    features, target = scores(4, 6), torch.tensor([0, -100, 11, -100])
    torch.manual_seed(2)
    rows = make(reduction="none")(features, target)
    assert (rows[[1, 3]] == 0).all()
    assert (rows[[0, 2]] > 0).all()
    assert make()(features, torch.full((4,), -100)) == 0
    with pytest.raises(ValueError, match=r"ids must be in \[0, 11\]"):
        make()(features, torch.tensor([0, 12, 1, 2]))


def test_counts_set_where_the_bias_starts(make):
    counts = torch.arange(12)
    options = {"class_counts": counts}
    head = make(**options)
    frequency = (counts + 1.0) / (counts + 1.0).sum()
    expected = frequency.logit() if isinstance(head, anymax.nn.SigmoidHead) else frequency.log()
    if not isinstance(head, anymax.nn.SigmoidHead):
        assert_close(head.log_prob(torch.zeros(6)), expected)
    if isinstance(head, anymax.nn.NegativeSamplingHead):
        expected = expected - math.log(5 / 12)
    if not isinstance(head, anymax.nn.SparsemaxHead | anymax.nn.EntmaxHead):
        assert_close(head.bias.detach(), expected)
    with pytest.raises(ValueError, match=r"class_counts must have one entry per class, shape \(12,\), got \(3,\)"):
        make(class_counts=torch.ones(3))


def test_nce_starts_normalised_without_counts():
    with pytest.raises(TypeError, match="NCEHead: log_partition must be a number, got '2'"):
        anymax.nn.NCEHead(6, 12, noise=noise.Uniform(12), log_partition="2")
    head = anymax.nn.NCEHead(6, 12, noise=noise.Uniform(12), log_partition=2.0)
    assert_close(head.scores(torch.zeros(6)).logsumexp(0).item(), 2.0)
    head = anymax.nn.NCEHead(6, 12, class_counts=torch.arange(12), log_partition=2.0)
    assert_close(head.scores(torch.zeros(6)).logsumexp(0).item(), 2.0)


def test_negative_sampling_gets_its_probabilities_back_from_its_noise():
    law = noise.Unigram([0, *range(1, 12)], power=0.75)
    head = anymax.nn.NegativeSamplingHead(6, 12, noise=law)
    # a class that is never drawn is no target either
    assert head.log_prob(torch.zeros(6)).exp().tolist() == pytest.approx([0.0] + [1 / 11] * 11)
    truth = torch.log_softmax(scores(12), 0)
    with torch.no_grad():
        head.bias.copy_(torch.where(law.log_prob(COUNTS).isfinite(), truth - math.log(5) - law.log_prob(COUNTS), 3.0))
    features = torch.zeros(2, 6)
    expected = torch.log_softmax(truth.where(COUNTS > 0, -math.inf), 0)
    assert_close(head.log_prob(features)[1], expected)
    # the scores rank by another law
    assert head.predict(features)[1][0] == truth[1:].argmax() + 1 != head(features)[0, 1:].argmax() + 1
    ids = head.sample(features[0], 20_000, generator=torch.tensor(1))
    share = ids.bincount(minlength=12) / 20_000
    assert (share - expected.exp()).abs().max() < 4 * 0.5 / 20_000**0.5


def test_negative_sampling_learns_a_law():
    # 4 standard errors of the frequencies of 4,000 rows, and what is left of 400 steps, are below .05
    truth = torch.tensor([0.55, 0.3, 0.1, 0.05])
    torch.manual_seed(0)
    head = anymax.nn.NegativeSamplingHead(1, 4, noise=noise.Unigram([4, 2, 1, 1]))
    optimizer = torch.optim.Adam([head.bias], 0.05)
    target = torch.multinomial(truth, 4000, replacement=True)
    for _ in range(400):
        optimizer.zero_grad()
        head(torch.zeros(4000, 1), target).backward()
        optimizer.step()
    assert_close(head.log_prob(torch.zeros(1)).exp(), truth, rtol=0, atol=0.05)
    # log-odds, where word2vec's code ends, or the scores alone would be seen
    odds = truth / (1 - truth)
    assert (odds / odds.sum() - truth).abs().max() > 0.08
    assert (torch.softmax(head(torch.zeros(1)), 0) - truth).abs().max() > 0.1


@pytest.mark.parametrize("head", [anymax.nn.NCEHead, anymax.nn.NegativeSamplingHead, anymax.nn.SampledSoftmaxHead])
def test_no_noise_law_is_a_default(head):
    with pytest.raises(ValueError, match=r"give noise= \(a law of anymax.noise\) or class_counts="):
        head(6, 12)
    with pytest.raises(ValueError, match="must cover the 12 classes of the head, got 11"):
        head(6, 12, noise=noise.Uniform(11))
    with pytest.raises(ValueError, match="Head: num_noise must be at least 1, got 0"):
        head(6, 12, noise=noise.Uniform(12), num_noise=0)
    counts = torch.arange(12)
    law = head(6, 12, class_counts=counts, num_noise=3).noise
    assert_close(law.log_prob(counts).exp(), (counts + 1.0).double() / 78)


def test_counts_without_a_bias_have_no_effect_and_say_so():
    with pytest.raises(ValueError, match="class_counts set where the bias starts, and there is none"):
        anymax.nn.SoftmaxHead(6, 12, bias=False, class_counts=torch.ones(12))
    assert anymax.nn.NCEHead(6, 12, bias=False, class_counts=torch.ones(12)).bias is None
    with pytest.raises(ValueError, match="NCEHead: class_counts set where the bias starts, and there is none"):
        anymax.nn.NCEHead(6, 12, bias=False, class_counts=torch.ones(12), noise=noise.Uniform(12))


def test_softmax_head_is_cross_entropy():
    head = anymax.nn.SoftmaxHead(6, 12, label_smoothing=0.1, z_loss=0.01)
    features, target = scores(50, 6), torch.randint(12, (50,), generator=generator(1))
    expected = anymax.cross_entropy(head.scores(features), target, label_smoothing=0.1, z_loss=0.01)
    assert_close(head(features, target), expected)


def test_sigmoid_head_is_a_sum_over_classes():
    head = anymax.nn.SigmoidHead(6, 12)
    features, target = scores(5, 6), torch.tensor([0, 3, -100, 11, 5])
    kept = target >= 0
    labels = nn.functional.one_hot(target[kept], 12).float()
    expected = nn.functional.binary_cross_entropy_with_logits(head.scores(features)[kept], labels, reduction="sum")
    assert_close(head(features, target), expected / 4)
    values, _ = head.predict(features, 3)
    assert_close(values, nn.functional.logsigmoid(head.scores(features)).topk(3, -1).values)


@pytest.mark.parametrize("name", MAPS)
def test_sparse_heads_give_probabilities_with_zeros(name):
    head = HEADS[name]().double()
    features = 9 * scores(5, 6).double()
    log_probs = head.log_prob(features)
    outside = MAPS[name](head.scores(features), -1) == 0
    assert torch.equal(log_probs == -torch.inf, outside)
    assert outside.any()
    # what is -inf has no gradient, and spoils no other
    (gradient,) = torch.autograd.grad(log_probs.masked_fill(outside, 0.0).sum(), head.weight)
    assert gradient.isfinite().all()
    assert gradient.any()
    ids = head.sample(features, 200, temperature=3.0, generator=torch.tensor(1))
    assert not outside[torch.arange(5), ids].any()
    assert torch.equal(head.predict(features, k=12)[1], head.scores(features).argsort(-1, descending=True))


def test_small_probabilities_have_their_logarithms_in_half_types():
    head = anymax.nn.EntmaxHead(6, 2, alpha=1.0, dtype=torch.float16)
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.0, -20.0]))
    log_probs = head.log_prob(torch.zeros(6).half())
    assert log_probs.dtype == torch.float16
    assert log_probs.tolist() == [0.0, -20.0]


def test_an_alpha_of_a_head_learns_and_starts_again():
    head = anymax.nn.EntmaxHead(6, 12, alpha=nn.Parameter(torch.tensor(1.25)))
    assert "alpha=1.25" in repr(head)
    head(scores(4, 6), torch.tensor([0, 3, 11, 7])).backward()
    assert head.alpha.grad < 0
    buffer = anymax.nn.EntmaxHead(6, 12, alpha=torch.tensor(1.75))
    assert list(buffer.state_dict()) == ["weight", "bias", "alpha"]
    for module, start in ((head, 1.25), (buffer, 1.75)):
        module.alpha.detach().fill_(2.0)
        module.reset_parameters()
        assert module.alpha == start


@pytest.mark.parametrize("alpha", [1.0, 1.25, 3.0])
@pytest.mark.parametrize("made", [lambda alpha: alpha, torch.tensor, lambda alpha: nn.Parameter(torch.tensor(alpha))])
def test_entmax_starts_at_the_class_frequencies_whatever_its_alpha(alpha, made):
    counts = torch.arange(12)
    head = anymax.nn.EntmaxHead(6, 12, alpha=made(alpha), class_counts=counts)
    for _ in range(2):
        assert_close(head.log_prob(torch.zeros(6)).exp(), (counts + 1.0) / (counts + 1.0).sum())
        if isinstance(head.alpha, torch.Tensor):
            head.alpha.detach().fill_(2.0)
        head.reset_parameters()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_rows_of_any_number_of_labels(dtype, reduction):
    """A row's loss is the sum over its classes, as for ids: twice a mean over entries would be another scale."""
    features = scores(4, 3, 6)
    labels = torch.rand(4, 3, 12, generator=generator(1)) < 0.3
    labels[0, 0] = False
    ids = torch.randint(12, (4, 3), generator=generator(2))
    for head, loss in (
        (anymax.nn.SigmoidHead(6, 12, reduction=reduction), anymax.binary_cross_entropy_with_logits),
        (anymax.nn.FocalHead(6, 12, gamma=1.5, reduction=reduction), partial(anymax.sigmoid_focal_loss, gamma=1.5)),
    ):
        rows = loss(head.scores(features), labels.float(), reduction="none").sum(-1)
        expected = {"none": rows, "mean": rows.mean(), "sum": rows.sum()}[reduction]
        assert_close(head(features, labels.to(dtype)), expected)
        assert_close(head(features, nn.functional.one_hot(ids, 12).to(dtype)), head(features, ids))


def test_focal_head_starts_as_if_classes_were_equally_frequent():
    """Else the easy negatives of many classes would be nearly all of the first steps' loss."""
    head = anymax.nn.FocalHead(6, 12)
    assert_close(head.bias.detach().sigmoid(), torch.full((12,), 1 / 12))
    assert anymax.nn.FocalHead(6, 1).bias == 0
    with torch.no_grad():
        head.bias.fill_(3.0)
    head.reset_parameters()
    assert_close(head.bias.detach().sigmoid(), torch.full((12,), 1 / 12))
    assert "alpha=0.25, gamma=2.0" in repr(head)
    for options, words in (
        ({"alpha": 2}, "FocalHead: alpha must be in"),
        ({"gamma": -1}, "FocalHead: gamma must be in"),
    ):
        with pytest.raises(ValueError, match=words):
            anymax.nn.FocalHead(6, 12, **options)


def test_labels_of_another_shape_are_one_sentence():
    head = anymax.nn.SigmoidHead(6, 12)
    for target in (torch.zeros(5), torch.zeros(5, 11), torch.zeros(12)):
        with pytest.raises(ValueError, match=r"target must have the input's shape \(5, 12\)"):
            head(scores(5, 6), target)
    with pytest.raises(ValueError, match=r"target must be in \[0, 1\]"):
        head(scores(5, 6), torch.full((5, 12), -100.0))


def test_gumbel_head_learns_the_law_it_says():
    # population optimum of -log y at the target, tau = 1, for p = (.7, .2, .1): (.82, .13, .05)
    law = torch.tensor([0.7, 0.2, 0.1])
    head = anymax.nn.GumbelSoftmaxHead(1, 3, reduction="none").double()
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([0.82, 0.13, 0.05]).log())
    target = torch.arange(3).repeat_interleave(100_000)
    torch.manual_seed(0)
    rows = head(torch.zeros(300_000, 1, dtype=torch.float64), target)
    per_class = rows.reshape(3, -1).mean(1)
    (gradient,) = torch.autograd.grad((law * per_class).sum(), head.bias)
    assert gradient.abs().max() < 0.01
    with torch.no_grad():
        head.bias.copy_(law.log())
    torch.manual_seed(0)
    rows = head(torch.zeros(300_000, 1, dtype=torch.float64), target)
    (gradient,) = torch.autograd.grad((law * rows.reshape(3, -1).mean(1)).sum(), head.bias)
    assert gradient.abs().max() > 0.02


def test_heads_compile_and_copy(make):
    # the heads share code, which is compiled for a few classes only
    torch._dynamo.reset()
    head = make()
    features, target = scores(4, 6), torch.tensor([0, 3, 11, 7])
    compiled = torch.compile(copy.deepcopy(head), fullgraph=True, backend="aot_eager")
    answers = []
    for module in (head, compiled):
        torch.manual_seed(1)
        answers.append(module(features, target))
    assert_close(*answers)


def test_dtype_of_the_parameters(make):
    head = make(dtype=torch.bfloat16)
    assert head.weight.dtype == head.bias.dtype == torch.bfloat16
    loss = head(scores(4, 6).bfloat16(), torch.tensor([0, 3, 11, 7]))
    assert loss.dtype == torch.bfloat16
    loss.backward()
    assert head.weight.grad.dtype == torch.bfloat16
