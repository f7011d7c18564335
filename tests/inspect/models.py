"""Small models that are wrong in one way, and models that look alike and are right."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

import anymax

BATCH, LENGTH, WIDTH, CLASSES = 4, 7, 6, 5


class Model(nn.Module):
    """A model that is one function of its layers and the input."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        self.layers = nn.ModuleDict(layers)

    def forward(self, *args):
        return self.function(self.layers, *args)


def linear(out=CLASSES, into=WIDTH):
    return nn.Linear(into, out)


def rows():
    return torch.randn(BATCH, WIDTH)


def sequences():
    return torch.randn(BATCH, LENGTH, WIDTH)


def images():
    return torch.randn(BATCH, 3, 8, 10)


def ids(*shape, classes=CLASSES):
    return torch.randint(classes, (BATCH, *shape))


def yes_or_no(*shape):
    return torch.rand(BATCH, *shape)


def queries_and_keys(layers, x):
    return layers["query"](x), layers["key"](x)


def scores_of(layers, x):
    query, key = queries_and_keys(layers, x)
    return query @ key.transpose(-2, -1) / WIDTH**0.5, layers["value"](x)


def projections():
    return {name: linear(WIDTH) for name in ("query", "key", "value")}


def heads(x):
    return x.unflatten(-1, (2, WIDTH // 2)).transpose(1, 2)


def attention(dim, *, mask=False, many=False):
    def forward(layers, x):
        query, key = queries_and_keys(layers, x)
        value = layers["value"](x)
        if many:
            query, key, value = heads(query), heads(key), heads(value)
        scores = query @ key.transpose(-2, -1) / WIDTH**0.5
        if mask:
            scores = scores.masked_fill(torch.ones(LENGTH, LENGTH).triu(1).bool(), float("-inf"))
        weights = F.dropout(scores.softmax(dim), 0.1)
        return (weights @ value).flatten(2) if not many else (weights @ value).transpose(1, 2).flatten(2)

    return forward


def attention_by_einsum(dim):
    def forward(layers, x):
        query, key = queries_and_keys(layers, x)
        weights = torch.einsum("bqd,bkd->bqk", query, key).softmax(dim)
        return torch.einsum("bqk,bkd->bqd", weights, layers["value"](x))

    return forward


def attention_by_bmm(dim):
    def forward(layers, x):
        query, key = queries_and_keys(layers, x)
        return torch.bmm(torch.bmm(query, key.mT).softmax(dim), layers["value"](x))

    return forward


def attention_with_keys_first(layers, x):
    query, key = queries_and_keys(layers, x)
    weights = (key @ query.mT).softmax(1)
    return weights.mT @ layers["value"](x)


def attention_by_sum(dim):
    def forward(layers, x):
        scores, value = scores_of(layers, x)
        return (scores.softmax(dim).unsqueeze(-1) * value.unsqueeze(1)).sum(2)

    return forward


def slots(layers, x):
    scores, value = scores_of(layers, x)
    weights = scores.softmax(1) + 1e-8
    return (weights / weights.sum(-1, keepdim=True)) @ value


def routing(layers, x):
    votes = layers["votes"](x).unflatten(-1, (3, 4)).transpose(1, 2)
    scores = votes.new_zeros(votes.shape[:3])
    for _ in range(3):
        weights = scores.softmax(1)
        capsules = (weights.unsqueeze(-1) * votes).sum(2, keepdim=True)
        capsules = capsules / (1 + capsules.norm(dim=-1, keepdim=True))
        scores = scores + (votes * capsules).sum(-1)
    return capsules.squeeze(2).norm(dim=-1)


def similarities(layers, x, y):
    x, y = F.normalize(layers["one"](x), dim=-1), F.normalize(layers["other"](y), dim=-1)
    return x @ y.t() / 0.07


def contrastive(scores, target):
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.t(), target)) / 2


def experts(layers, x):
    return layers["experts"](x).unflatten(1, (2, 3)).softmax(2)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, words):
        return self.out(self.lstm(self.embedding(words))[0])


class Segmenter(nn.Sequential):
    def __init__(self, *end):
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Upsample(scale_factor=2),
            nn.Conv2d(8, CLASSES, 1), *end,
        )  # fmt: skip


def of_tokens(scores, target):
    return F.cross_entropy(scores.flatten(0, 1), target.flatten())


def transposed(scores, target):
    return F.cross_entropy(scores.transpose(1, 2), target)


def after_log(probs, target):
    return F.nll_loss(probs.log(), target)


def distillation(scores, teacher):
    return F.kl_div((scores / 2).log_softmax(1), (teacher / 2).softmax(1), reduction="batchmean")


def entropy(layers, x):
    log_probs = layers["out"](x).log_softmax(-1)
    return -(log_probs.exp() * log_probs).sum(-1)


OUT = {"out": linear()}
ONE = {"out": linear(1)}
CE, NLL, BCE, LOGITS = nn.CrossEntropyLoss(), nn.NLLLoss(), nn.BCELoss(), nn.BCEWithLogitsLoss()

# name: function of the layers and the input, input, layers, loss, target, codes
WRONG = {
    "over the batch": (lambda m, x: m["out"](x).softmax(0), rows, OUT, None, None, ["AMX102"]),
    "over the batch, by a module": (
        lambda m, x: m["end"](m["out"](x)), rows, {**OUT, "end": nn.Softmax(dim=0)}, None, None, ["AMX102"]),
    "over the batch, ours": (lambda m, x: anymax.softmax(m["out"](x), 0), rows, OUT, None, None, ["AMX102"]),
    "over the batch and time": (
        lambda m, x: m["out"](x).flatten(0, 1).log_softmax(0), sequences, OUT, None, None, ["AMX102"]),
    "over the batch after squeeze": (
        lambda m, x: m["out"](x).squeeze(1).softmax(-1), rows, ONE, None, None, ["AMX102"]),
    "over the batch by three axes without dim": (
        lambda m, x: F.softmax(m["out"](x)), sequences, OUT, None, None, ["AMX101", "AMX102"]),
    "one score per sample": (lambda m, x: m["out"](x).softmax(1), rows, ONE, None, None, ["AMX103"]),
    "an unsqueezed axis": (lambda m, x: m["out"](x).unsqueeze(1).softmax(1), rows, OUT, None, None, ["AMX103"]),
    "one class": (lambda m, x: m["out"](x), rows, ONE, CE, ids(classes=1), ["AMX103"]),
    "queries compete": (attention(1), sequences, projections(), None, None, ["AMX105"]),
    "queries compete, heads": (attention(2, many=True, mask=True), sequences, projections(), None, None, ["AMX105"]),
    "heads compete": (attention(1, many=True), sequences, projections(), None, None, ["AMX105"]),
    "queries compete, einsum": (attention_by_einsum(1), sequences, projections(), None, None, ["AMX105"]),
    "queries compete, bmm": (attention_by_bmm(1), sequences, projections(), None, None, ["AMX105"]),
    "queries compete, product and sum": (attention_by_sum(1), sequences, projections(), None, None, ["AMX105"]),
    "batch competes in attention": (attention(0), sequences, projections(), None, None, ["AMX102"]),
    "a layer that takes the length first": (
        lambda m, x: m["attention"](x, x, x)[0], sequences,
        {"attention": nn.MultiheadAttention(WIDTH, 2)}, None, None, ["AMX102"]),
    "attention across samples": (
        lambda m, x: (m["query"](x) @ m["key"](x).t()).softmax(-1) @ m["value"](x), rows, projections(), None, None,
        ["AMX102"]),
    "width of an image": (
        lambda m, x: m["net"](x).softmax(-1), images, {"net": Segmenter()}, None, None, ["AMX106"]),
    "height of an image, channels last": (
        lambda m, x: m["net"](x).permute(0, 2, 3, 1).softmax(1), images, {"net": Segmenter()}, None, None, ["AMX106"]),
    "argmax of samples": (lambda m, x: m["out"](x).argmax(0), rows, OUT, None, None, ["AMX107"]),
    "argmax of everything": (lambda m, x: m["out"](x).softmax(1).argmax(), rows, OUT, None, None, ["AMX107"]),
    "argmax beside softmax": (
        lambda m, x: m["out"](x).softmax(-1).argmax(1), sequences, OUT, None, None, ["AMX107"]),
    "gumbel without dim": (lambda m, x: F.gumbel_softmax(m["net"](x)), images, {"net": Segmenter()}, None, None,
                           ["AMX106", "AMX108"]),
    "classes last": (lambda m, x: m["out"](x), sequences, {"out": linear(LENGTH)}, CE, ids(LENGTH, classes=LENGTH),
                     ["AMX109"]),
    "classes last, ours": (
        lambda m, x: m["out"](x), sequences, {"out": linear(LENGTH)}, anymax.cross_entropy, ids(LENGTH, classes=LENGTH),
        ["AMX109"]),
    "softmax, then cross-entropy": (lambda m, x: m["out"](x).softmax(1), rows, OUT, CE, ids(), ["AMX201"]),
    "softmax, then our cross-entropy": (
        lambda m, x: m["out"](x).softmax(1), rows, OUT, anymax.cross_entropy, ids(), ["AMX201"]),
    "softmax, views, cross-entropy": (
        lambda m, x: m["out"](x).softmax(-1).double(), sequences, OUT, of_tokens, ids(LENGTH), ["AMX201"]),
    "log_softmax, then cross-entropy": (lambda m, x: m["out"](x).log_softmax(1), rows, OUT, CE, ids(), ["AMX201"]),
    "sigmoid, then cross-entropy": (lambda m, x: m["out"](x).sigmoid(), rows, OUT, CE, ids(), ["AMX201"]),
    "sigmoid, then with logits": (
        lambda m, x: m["out"](x).sigmoid().squeeze(1), rows, ONE, LOGITS, yes_or_no(), ["AMX202"]),
    "sigmoid, then our with logits": (
        lambda m, x: m["out"](x).sigmoid(), rows, OUT, anymax.binary_cross_entropy_with_logits, yes_or_no(CLASSES),
        ["AMX202"]),
    "nll of probabilities": (lambda m, x: m["out"](x).softmax(1), rows, OUT, NLL, ids(), ["AMX203"]),
    "nll of scores": (lambda m, x: m["out"](x), rows, OUT, NLL, ids(), ["AMX203"]),
    "nll over another axis": (
        lambda m, x: m["net"](x).log_softmax(2), images, {"net": Segmenter(nn.Flatten(2))}, NLL, ids(80), ["AMX203"]),
    "bce of scores": (lambda m, x: m["out"](x), rows, OUT, BCE, yes_or_no(CLASSES), ["AMX204"]),
    "bce of a sigmoid": (lambda m, x: m["out"](x).sigmoid(), rows, OUT, BCE, yes_or_no(CLASSES), ["AMX204"]),
    "kl_div of probabilities": (
        lambda m, x: m["out"](x).softmax(1), rows, OUT, nn.KLDivLoss(reduction="batchmean"), yes_or_no(CLASSES),
        ["AMX205"]),
    "kl_div by elements": (
        lambda m, x: m["out"](x).log_softmax(1), rows, OUT, nn.KLDivLoss(), yes_or_no(CLASSES), ["AMX205"]),
    "softmax of softmax": (lambda m, x: (m["out"](x).softmax(1) / 0.5).softmax(1), rows, OUT, None, None, ["AMX206"]),
    "one axis after the other": (
        lambda m, x: m["out"](x).softmax(1).softmax(2), sequences, OUT, None, None, ["AMX206"]),
    "sigmoid of sigmoid": (lambda m, x: m["out"](x).sigmoid().sigmoid(), rows, OUT, None, None, ["AMX206"]),
    "gumbel of probabilities": (
        lambda m, x: F.gumbel_softmax(m["out"](x).softmax(-1), dim=-1), rows, OUT, None, None, ["AMX206"]),
    "multinomial of scores": (lambda m, x: torch.multinomial(m["out"](x), 1), rows, OUT, None, None, ["AMX208"]),
    "Categorical of scores": (
        lambda m, x: torch.distributions.Categorical(m["out"](x)).sample(), rows, OUT, None, None, ["AMX208"]),
    "Categorical with probabilities as logits": (
        lambda m, x: torch.distributions.Categorical(logits=m["out"](x).softmax(-1)).sample(), rows, OUT, None, None,
        ["AMX208"]),
    "log of softmax": (lambda m, x: m["out"](x).softmax(1), rows, OUT, after_log, ids(), ["AMX301"]),
    "log of softmax and an epsilon": (
        lambda m, x: (m["out"](x).softmax(1) + 1e-8).log(), rows, OUT, None, None, ["AMX301"]),
    "log of a picked probability": (
        lambda m, x, i: -m["out"](x).softmax(1).gather(1, i[:, None]).log(), lambda: (rows(), ids()), OUT, None, None,
        ["AMX301"]),
    "log of sigmoid": (lambda m, x: torch.log(m["out"](x).sigmoid()), rows, OUT, None, None, ["AMX301"]),
    "votes for one-hot labels": (
        lambda m, x, i: m["out"](x).softmax(1) @ F.one_hot(i, 3).float(), lambda: (rows(), torch.arange(CLASSES) % 3),
        OUT, CE, ids(classes=3), ["AMX201"]),
    "a mixture of experts": (
        lambda m, x: torch.einsum("be,bec->bc", m["gate"](x).softmax(1), experts(m, x)), rows,
        {"gate": linear(2), "experts": linear(6)}, CE, ids(classes=3), ["AMX201"]),
    "nll of log_softmax in one place": (
        lambda m, x: m["out"](x), rows, OUT, lambda x, y: F.nll_loss(F.log_softmax(x, 1), y), ids(), ["AMX207"]),
    "own log_softmax": (
        lambda m, x: (lambda y: y - y.logsumexp(1, keepdim=True))(m["out"](x)), rows, OUT, None, None, ["AMX302"]),
    "own softmax": (
        lambda m, x: (lambda y: y / y.sum(1, keepdim=True))(m["out"](x).exp()), rows, OUT, None, None, ["AMX303"]),
    "own softmax, masked": (
        lambda m, x: (lambda y: y / (y.sum(1, keepdim=True) + 1e-9))(m["out"](x).exp() * (x[:, :1] > 0)), rows, OUT,
        None, None, ["AMX303"]),
    "masked with 0": (
        lambda m, x: m["out"](x).masked_fill(x[:, :1] > 0, 0.0).softmax(1), rows, OUT, None, None, ["AMX305"]),
    "inside no_grad": (
        torch.no_grad()(lambda m, x: m["out"](x).softmax(0)), rows, OUT, None, None, ["AMX102"]),
    "inside autocast": (
        torch.autocast("cpu", torch.bfloat16)(lambda m, x: m["out"](x).softmax(0)), rows, OUT, None, None, ["AMX102"]),
}  # fmt: skip

RIGHT = {
    "a classifier": (lambda m, x: m["out"](F.relu(m["hidden"](x))).softmax(-1), rows, {**OUT, "hidden": linear(WIDTH)},
                     None, None),
    "a classifier and its loss": (lambda m, x: m["out"](x), rows, OUT, CE, ids()),
    "our loss": (lambda m, x: m["out"](x), rows, OUT, anymax.cross_entropy, ids()),
    "our loss, classes last": (
        lambda m, x: m["out"](x), sequences, OUT, lambda x, y: anymax.cross_entropy(x, y, dim=-1), ids(LENGTH)),
    "our binary loss": (
        lambda m, x: m["out"](x), rows, OUT, anymax.binary_cross_entropy_with_logits, yes_or_no(CLASSES)),
    "log_softmax and nll": (lambda m, x: m["out"](x).log_softmax(1), rows, OUT, NLL, ids()),
    "one score per sample": (lambda m, x: m["out"](x).squeeze(1), rows, ONE, LOGITS, yes_or_no()),
    "attention": (attention(-1), sequences, projections(), None, None),
    "attention, masked": (attention(2, mask=True), sequences, projections(), None, None),
    "attention, heads, masked": (attention(-1, many=True, mask=True), sequences, projections(), None, None),
    "attention, einsum": (attention_by_einsum(-1), sequences, projections(), None, None),
    "attention, bmm": (attention_by_bmm(2), sequences, projections(), None, None),
    "attention, keys first": (attention_with_keys_first, sequences, projections(), None, None),
    "attention, product and sum": (attention_by_sum(2), sequences, projections(), None, None),
    "attention of torch": (
        lambda m, x: m["layer"](x), sequences,
        {"layer": nn.TransformerEncoderLayer(WIDTH, 2, 8, batch_first=True)}, None, None),
    "attention, fused": (
        lambda m, x: F.scaled_dot_product_attention(*queries_and_keys(m, x), x, is_causal=True), sequences,
        projections(), None, None),
    "attention, length first": (
        lambda m, x: m["attention"](x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1))[0], sequences,
        {"attention": nn.MultiheadAttention(WIDTH, 2)}, None, None),
    "pooling by attention": (
        lambda m, x: (m["out"](x).softmax(1) * x).sum(1), sequences, ONE, None, None),
    "slots, normalised again": (slots, sequences, projections(), None, None),
    "clusters of parts": (
        lambda m, x: m["out"](x).softmax(-1).mT @ x, sequences, OUT, None, None),
    "clusters of what attention read": (
        lambda m, x: m["out"](attention(-1)(m, x)).softmax(-1).mT @ x, sequences, {**OUT, **projections()}, None, None),
    "clusters by a graph": (
        lambda m, x, edges: (edges @ m["out"](x)).softmax(-1).mT @ x,
        lambda: (sequences(), torch.rand(BATCH, LENGTH, LENGTH)), OUT, None, None),
    "capsules": (routing, sequences, {"votes": linear(12)}, None, None),
    "contrastive": (similarities, lambda: (rows(), rows()), {"one": linear(), "other": linear()}, contrastive,
                    torch.arange(BATCH)),
    "contrastive, as probabilities": (
        lambda m, x, y: similarities(m, x, y).softmax(-1), lambda: (rows(), rows()),
        {"one": linear(), "other": linear()}, None, None),
    "segmentation": (lambda m, x: m["net"](x), images, {"net": Segmenter()}, CE, ids(8, 10)),
    "segmentation, probabilities": (lambda m, x: m["net"](x).softmax(1), images, {"net": Segmenter()}, None, None),
    "segmentation, channels last": (
        lambda m, x: m["net"](x).permute(0, 2, 3, 1).softmax(-1), images, {"net": Segmenter()}, None, None),
    "a map over pixels": (lambda m, x: m["net"](x).flatten(2).softmax(-1), images, {"net": Segmenter()}, None, None),
    "a map over pixels, ours": (lambda m, x: anymax.softmax(m["net"](x), (2, 3)), images, {"net": Segmenter()}, None,
                                None),
    "a tagger, flat": (lambda m, x: m["tagger"](x), lambda: ids(LENGTH), {"tagger": Tagger()}, of_tokens, ids(LENGTH)),
    "a tagger, transposed": (
        lambda m, x: m["tagger"](x), lambda: ids(LENGTH), {"tagger": Tagger()}, transposed, ids(LENGTH)),
    "softmax and its own argmax": (lambda m, x: m["out"](x).softmax(1).argmax(1), rows, OUT, None, None),
    "an ensemble": (
        lambda m, x: torch.stack([m["out"](x).softmax(1), m["two"](x).softmax(1)]).mean(0).log(), rows,
        {**OUT, "two": linear()}, NLL, ids()),
    "a mean of probabilities and its log": (
        lambda m, x: m["out"](x).softmax(-1).mean(1).log(), sequences, OUT, NLL, ids()),
    "a mixture of experts and its log": (
        lambda m, x: (m["gate"](x).softmax(1)[:, None] @ experts(m, x)).squeeze(1).log(), rows,
        {"gate": linear(2), "experts": linear(6)}, NLL, ids(classes=3)),
    "distillation": (
        lambda m, x: m["out"](x), rows, OUT, distillation, torch.randn(BATCH, CLASSES)),
    "gumbel": (lambda m, x: F.gumbel_softmax(m["out"](x), hard=True, dim=-1), rows, OUT, None, None),
    "our gumbel": (lambda m, x: anymax.gumbel_softmax(m["out"](x), dim=-1), rows, OUT, None, None),
    "Categorical": (
        lambda m, x: torch.distributions.Categorical(logits=m["out"](x)).sample(), rows, OUT, None, None),
    "Categorical of probabilities": (
        lambda m, x: torch.distributions.Categorical(m["out"](x).softmax(-1)).sample(), rows, OUT, None, None),
    "entropy": (entropy, rows, OUT, None, None),
    "shifted by hand": (
        lambda m, x: (lambda y: y / y.sum(1, keepdim=True))((m["out"](x) - x.amax(1, keepdim=True)).exp()), rows, OUT,
        None, None),
    "a sharpened gate": (lambda m, x: (10 * (m["out"](x).sigmoid() - 0.5)).sigmoid(), rows, OUT, None, None),
    "gates": (lambda m, x: m["out"](x).sigmoid() * m["out"](x).tanh(), rows, OUT, None, None),
    "every function of ours": (
        lambda m, x: anymax.log_softmax(m["out"](x), "n [c]", mask=x[:, :1] > 0).exp() * anymax.entropy(x, 1)[:, None],
        rows, OUT, None, None),
}  # fmt: skip
