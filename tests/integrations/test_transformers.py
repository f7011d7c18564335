"""The last layer of a transformers model becomes a head: training, saving, and loading through the meta device."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
import transformers
from torch import nn
from torch.testing import assert_close
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel

import anymax

WIDTH, VOCABULARY, LABELS = 8, 40, 5
GPT2 = GPT2Config(
    vocab_size=VOCABULARY,
    n_positions=16,
    n_embd=WIDTH,
    n_layer=1,
    n_head=2,
    bos_token_id=0,
    eos_token_id=0,
    tie_word_embeddings=False,
)
BERT = BertConfig(
    vocab_size=VOCABULARY,
    hidden_size=WIDTH,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=16,
    num_labels=LABELS,
)

HEADS = {
    "softmax": lambda classes: anymax.nn.SoftmaxHead(WIDTH, classes, class_counts=list(range(classes))),
    "gumbel": lambda classes: anymax.nn.GumbelSoftmaxHead(WIDTH, classes, class_counts=list(range(classes)), tau=0.25),
    "sigmoid": lambda classes: anymax.nn.SigmoidHead(WIDTH, classes, class_counts=list(range(classes))),
    "nce": lambda classes: anymax.nn.NCEHead(WIDTH, classes, class_counts=list(range(classes)), num_noise=3),
    "sampled": lambda classes: anymax.nn.SampledSoftmaxHead(
        WIDTH, classes, class_counts=list(range(classes)), num_noise=2
    ),
    "uniform": lambda classes: anymax.nn.NCEHead(WIDTH, classes, noise=anymax.noise.Uniform(classes), num_noise=3),
}


def ids() -> torch.Tensor:
    return torch.randint(VOCABULARY, (3, 7), generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def quiet():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)


@pytest.fixture(params=HEADS)
def make(request):
    return HEADS[request.param]


@pytest.fixture(params=["gpt2", "bert"])
def kind(request, make):
    """A model class that builds its head itself, with the two lines that the guide shows."""
    if request.param == "gpt2":

        class Model(GPT2LMHeadModel):
            plain, settings, attribute, classes = GPT2LMHeadModel, GPT2, "lm_head", VOCABULARY

            def __init__(self, config):
                super().__init__(config)
                self.lm_head = make(VOCABULARY)
                self.post_init()

            def _init_weights(self, module):
                super()._init_weights(module)
                if isinstance(module, (type(self.lm_head), anymax.noise.Noise)):
                    module.reset_parameters()
    else:

        class Model(BertForSequenceClassification):
            plain, settings, attribute, classes = BertForSequenceClassification, BERT, "classifier", LABELS

            def __init__(self, config):
                super().__init__(config)
                self.classifier = make(LABELS)
                self.post_init()

            def _init_weights(self, module):
                super()._init_weights(module)
                if isinstance(module, (type(self.classifier), anymax.noise.Noise)):
                    module.reset_parameters()

    return Model


def litter() -> None:
    """Leave something in the memory that is handed out next."""
    for size in (1, LABELS, VOCABULARY):
        _ = [torch.full((size,), 1e300, dtype=torch.float64) for _ in range(100)]


def head_of(model: nn.Module) -> nn.Module:
    return getattr(model, model.attribute)


def loss_of(model: nn.Module) -> torch.Tensor:
    """The loss of the head on the model's features."""
    head = head_of(model)
    target = torch.arange(3) % head.num_classes
    return head(model.base_model(ids()).last_hidden_state[:, -1], target, *seed_for(head))


def seed_for(head: nn.Module) -> tuple[torch.Tensor, ...]:
    return () if isinstance(head, (anymax.nn.SoftmaxHead, anymax.nn.SigmoidHead)) else (torch.tensor(3),)


def assert_starts(head: nn.Module, fresh: nn.Module, weight: bool = True) -> None:
    """Everything is as `reset_parameters` makes it, so as in a head that was never saved."""
    bound = WIDTH**-0.5
    if weight:
        assert bool((head.weight.abs() <= bound).all())
        assert head.weight.std() > 0.4 * bound
        assert torch.equal(head.bias, fresh.bias)
    state = fresh.state_dict()
    for name, value in head.state_dict().items():
        assert value.isfinite().all()
        if name not in ("weight", "bias"):
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize(
    ("plain", "config", "attribute", "head"),
    [
        (GPT2LMHeadModel, GPT2, "lm_head", anymax.nn.SoftmaxHead(WIDTH, VOCABULARY)),
        (BertForSequenceClassification, BERT, "classifier", anymax.nn.SoftmaxHead(WIDTH, LABELS)),
    ],
    ids=["gpt2", "bert"],
)
def test_one_line_swaps_the_last_layer(plain, config, attribute, head):
    model = plain(config).eval()
    layer = getattr(model, attribute)
    head.load_state_dict({"bias": torch.zeros(head.num_classes), **layer.state_dict()})
    expected = model(ids())
    setattr(model, attribute, head)
    assert_close(model(ids()).logits, expected.logits)
    labels = ids() if plain is GPT2LMHeadModel else torch.arange(3)
    model(ids(), labels=labels).loss.backward()
    assert head.weight.grad.abs().sum() > 0
    if plain is GPT2LMHeadModel:
        assert model.generate(ids(), max_new_tokens=2, do_sample=False, pad_token_id=0).shape == (3, 9)


def test_a_trained_model_comes_back(kind, make, tmp_path):
    model = kind(kind.settings)
    assert_starts(head_of(model), make(kind.classes))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_of(model).backward()
    optimizer.step()
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert list(loaded.state_dict()) == list(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert torch.equal(loss_of(loaded.eval()), loss_of(model.eval()))


def test_a_law_keeps_its_float64(kind, tmp_path):
    model = kind(kind.settings)
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert head_of(loaded).weight.dtype == torch.bfloat16
    for name, value in head_of(model).state_dict().items():
        if name.startswith("noise"):
            assert torch.equal(head_of(loaded).state_dict()[name], value)
    assert loss_of(loaded).isfinite()


def test_a_checkpoint_without_the_head_leaves_no_raw_memory(kind, make, tmp_path):
    kind.plain(kind.settings).base_model.save_pretrained(tmp_path)
    litter()
    model = kind.from_pretrained(tmp_path)
    assert_starts(head_of(model), make(kind.classes))
    assert loss_of(model).isfinite()


def test_a_checkpoint_of_a_linear_layer_keeps_tau_and_law(kind, make, tmp_path):
    plain = kind.plain(kind.settings)
    linear = nn.Linear(WIDTH, kind.classes)
    setattr(plain, kind.attribute, linear)
    plain.save_pretrained(tmp_path)
    litter()
    model = kind.from_pretrained(tmp_path)
    head = head_of(model)
    assert torch.equal(head.weight, linear.weight)
    assert torch.equal(head.bias, linear.bias)
    assert_starts(head, make(kind.classes), weight=False)
    assert loss_of(model).isfinite()


@pytest.fixture
def nothing_in_raw_memory():
    """Memory that nobody filled holds NaN, and not by chance the probabilities of an earlier model."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("nothing_in_raw_memory")
def test_without_the_two_lines_the_model_starts_a_head_as_any_linear_layer(tmp_path):
    class Model(GPT2LMHeadModel):
        def __init__(self, config):
            super().__init__(config)
            self.lm_head = HEADS["nce"](VOCABULARY)
            self.post_init()

    assert torch.equal(Model(GPT2).lm_head.bias, torch.zeros(VOCABULARY))
    GPT2LMHeadModel(GPT2).transformer.save_pretrained(tmp_path)
    litter()
    head = Model.from_pretrained(tmp_path).lm_head
    assert head.weight.std() < 0.05
    assert torch.equal(head.bias, torch.zeros(VOCABULARY))
    # nobody fills the law's memory then, which it says
    with pytest.raises(ValueError, match="Unigram holds no probabilities"):
        head(torch.zeros(2, WIDTH), torch.tensor([1, 2]))
