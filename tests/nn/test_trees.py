"""Tree heads: their probabilities, what they share with torch's module and where they do better, and their states."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import anymax
from anymax.nn import AdaptiveSoftmaxHead, HierarchicalSoftmaxHead
from anymax.ops.tree.structure import huffman

COUNTS = torch.tensor([3, 50, 0, 7, 1, 900, 20, 4, 4, 11, 2, 60])
MAKE = {
    "hierarchical": lambda **options: HierarchicalSoftmaxHead(16, 12, **options),
    "adaptive": lambda **options: AdaptiveSoftmaxHead(16, 12, **{"cutoffs": [3, 7], **options}),
}


def features(*lead, seed=0, dtype=torch.float32):
    return torch.randn(*lead, 16, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.fixture(params=MAKE)
def make(request):
    torch.manual_seed(0)
    return MAKE[request.param]


@pytest.mark.parametrize("options", [{}, {"class_counts": COUNTS}, {"bias": False}], ids=str)
def test_the_loss_is_that_of_the_probabilities_which_sum_to_one(make, options):
    head, x = make(**options), features(5, 2)
    log_probs = head.log_prob(x)
    assert_close(log_probs.exp().sum(-1), torch.ones(5, 2))
    assert torch.equal(head(x), log_probs)
    assert torch.equal(head.scores(x), log_probs)
    target = torch.arange(10).reshape(5, 2)
    head.reduction = "none"
    assert_close(head(x, target), -log_probs.gather(-1, target[..., None])[..., 0], rtol=1e-5, atol=1e-5)
    values, ids = head.predict(x, 3)
    assert torch.equal(values, log_probs.topk(3, -1).values)
    assert torch.equal(ids, log_probs.topk(3, -1).indices)


def test_ten_thousand_classes_sum_to_one():
    counts = 1e6 / torch.arange(1, 10_001)
    for head in (
        HierarchicalSoftmaxHead(16, 10_000, class_counts=counts),
        AdaptiveSoftmaxHead(16, 10_000, class_counts=counts),
    ):
        total = head.log_prob(3 * features(4)).double().exp().sum(-1)
        assert_close(total, torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-6)


def test_training_begins_at_the_class_frequencies(make):
    head = make(class_counts=COUNTS)
    start = (COUNTS + 1) / (COUNTS + 1).sum()
    assert_close(head.log_prob(torch.zeros(16)).exp(), start)


@pytest.mark.parametrize("ignored", [-100, 5])
def test_ignored_rows_cost_nothing_and_are_not_counted(make, ignored):
    head, x = make(class_counts=COUNTS, ignore_index=ignored), features(4)
    target = torch.tensor([1, ignored, 3, ignored])
    assert_close(head(x, target), head(x[[0, 2]], target[[0, 2]]))
    assert head(x, torch.full((4,), ignored)).item() == 0
    head.reduction = "none"
    assert torch.equal(head(x, target) == 0, target == ignored)
    head.reduction = "sum"
    assert_close(head(x, target), 2 * copied(head, "mean")(x, target))


def copied(head, reduction):
    other = copy.deepcopy(head)
    other.reduction = reduction
    return other


def test_a_target_out_of_range_is_named(make):
    with pytest.raises(ValueError, match=r"target ids must be in \[0, 11\] or ignore_index \(-100\), got 12"):
        make()(features(2), torch.tensor([0, 12]))


def test_gradients_are_those_of_the_log_probabilities(make):
    head, target = make(class_counts=COUNTS).double(), torch.tensor([5, 0, 2, 11, 5])
    x = features(5, dtype=torch.float64).requires_grad_()
    tensors = [x, *head.parameters()]
    mine = torch.autograd.grad(head(x, target), tensors)
    theirs = torch.autograd.grad(-head.log_prob(x).gather(-1, target[:, None]).mean(), tensors)
    for one, other in zip(mine, theirs, strict=True):
        assert_close(one, other)


def test_autocast_gives_a_float32_loss_close_to_the_exact_one(make):
    head, x, target = make(), features(6), torch.arange(6)
    with torch.autocast("cpu", torch.bfloat16):
        loss = head(x, target)
        log_probs = head.log_prob(x)
    assert loss.dtype == torch.float32
    assert_close(loss, head(x, target), rtol=0.03, atol=0.03)
    assert_close(log_probs.float(), head.log_prob(x), rtol=0.03, atol=0.03)
    loss.backward()


def test_halves_stay_halves(make):
    head = make().bfloat16()
    loss = head(features(6, dtype=torch.bfloat16), torch.arange(6))
    assert loss.dtype == torch.bfloat16
    for backend in (nullcontext(), anymax.use_backend("reference")):
        with backend:
            assert head.log_prob(features(6, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert_close(
        loss.float(), head.float()(features(6, dtype=torch.bfloat16).float(), torch.arange(6)), rtol=0.03, atol=0
    )


def test_compiled_whole(make):
    torch._dynamo.reset()
    head, target = make(class_counts=COUNTS), torch.tensor([5, 0, 2, 11, 5, -100])
    compiled = torch.compile(head, fullgraph=True, backend="aot_eager")
    assert_close(compiled(features(6), target), head(features(6), target))
    assert_close(compiled(features(6)), head(features(6)))


def test_compiled_code_follows_a_state_dict():
    torch._dynamo.reset()
    head, other = MAKE["hierarchical"](class_counts=COUNTS), MAKE["hierarchical"](class_counts=COUNTS.flip(0))
    compiled = torch.compile(head, fullgraph=True, backend="eager")
    assert_close(compiled(features(3)), head(features(3)))
    head.load_state_dict(other.state_dict())
    assert_close(compiled(features(3)), other(features(3)))


def test_a_state_dict_brings_the_tree_along(make):
    head, other = make(class_counts=COUNTS), make(class_counts=COUNTS.flip(0))
    assert not torch.allclose(head(features(3)), other(features(3)))
    other.load_state_dict(head.state_dict())
    assert torch.equal(head(features(3)), other(features(3)))
    assert torch.equal(head(features(3), torch.arange(3)), other(features(3), torch.arange(3)))
    assert torch.equal(copy.deepcopy(head)(features(3)), head(features(3)))


def test_a_head_is_made_and_works_in_inference_mode():
    """Where tensors count no writes."""
    with torch.inference_mode():
        head = HierarchicalSoftmaxHead(3, 6)
        assert_close(head.log_prob(torch.ones(2, 3)).exp().sum(-1), torch.ones(2))


def test_a_tree_that_a_loader_sets_without_any_hook_is_seen():
    head, other = MAKE["hierarchical"](class_counts=COUNTS), MAKE["hierarchical"](class_counts=COUNTS.flip(0))
    state = head.state_dict()
    other.weight.data, other.bias.data, other.parents = state["weight"], state["bias"], state["parents"].clone()
    assert torch.equal(head(features(3)), other(features(3)))
    # written as often as the head's own was
    set_once = MAKE["hierarchical"](class_counts=COUNTS.flip(0))
    parents = torch.empty_like(state["parents"])
    while parents._version < set_once.parents._version:
        parents.copy_(state["parents"])
    set_once.weight.data, set_once.bias.data, set_once.parents = state["weight"], state["bias"], parents
    assert torch.equal(head(features(3)), set_once(features(3)))
    third = MAKE["hierarchical"](class_counts=COUNTS.flip(0))
    for name, tensor in third.state_dict().items():
        tensor.copy_(state[name])
    assert torch.equal(head(features(3)), third(features(3)))


def test_a_head_from_the_meta_device_starts_as_any_other(make):
    head = make(class_counts=COUNTS.tolist())
    with torch.device("meta"):
        empty = make(class_counts=COUNTS.tolist())
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    if isinstance(head, HierarchicalSoftmaxHead):
        with pytest.raises(ValueError, match="parents holds no tree over the classes: the head was made on the meta"):
            copy.deepcopy(head).to("meta")(features(3).to("meta"))
    empty.to_empty(device="cpu")
    torch.manual_seed(1)
    empty.reset_parameters()
    torch.manual_seed(1)
    head.reset_parameters()
    assert torch.equal(empty(features(3)), head(features(3)))
    assert torch.equal(empty(features(3), torch.arange(3)), head(features(3), torch.arange(3)))


def test_a_huffman_tree_is_that_of_the_counts_raised_by_1_and_its_weights_start_as_those_of_a_layer():
    head = HierarchicalSoftmaxHead(4, 400, class_counts=[0, 0, 1, 1] * 100)
    assert torch.equal(head.parents, huffman(torch.tensor([1, 1, 2, 2] * 100)))
    assert 0.49 < head.weight.abs().max() <= 0.5


def test_size_device_and_dtype_of_the_parameters(make):
    head = make(dtype=torch.float16, device="meta")
    assert all(parameter.dtype == torch.float16 and parameter.is_meta for parameter in head.parameters())
    # twelve classes have eleven scores in a tree, and in clusters a score each and one for each cluster
    scores = [11] if isinstance(head, HierarchicalSoftmaxHead) else [5, 4, 5]
    assert [len(parameter) for parameter in head.parameters() if parameter.ndim == 1] == scores


def test_counts_without_values_build_no_tree(make):
    with pytest.raises(ValueError, match="Head: class_counts on the meta device have no values to build the tree from"):
        make(class_counts=COUNTS.to("meta"))


def test_sparse_gradients_hold_the_rows_of_the_paths():
    head = HierarchicalSoftmaxHead(16, 1000, sparse=True)
    head(features(2), torch.tensor([3, 3])).backward()
    assert head.weight.grad.is_sparse
    assert head.bias.grad.is_sparse
    assert head.weight.grad.coalesce().indices().shape[1] <= 10


@pytest.mark.parametrize("tree", ["balanced", "huffman", [[0, 1, 2, 3], [[4, 5], 6, 7], [8, [9, [10, 11]]]]], ids=str)
def test_any_tree_learns_any_probabilities(tree):
    """One feature that is constant leaves the bias to learn them."""
    truth = torch.tensor([8.0, 1, 4, 2, 2, 1, 1, 1, 3, 5, 6, 2])
    target = torch.repeat_interleave(torch.arange(12), truth.long())
    head = HierarchicalSoftmaxHead(1, 12, tree=tree, class_counts=torch.ones(12))
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=200)

    def closure():
        optimizer.zero_grad()
        loss = head(torch.zeros(len(target), 1), target)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert_close(head.log_prob(torch.zeros(1)).exp(), truth / truth.sum(), rtol=1e-3, atol=1e-4)


def test_options_of_trees_are_checked():
    with pytest.raises(ValueError, match='HierarchicalSoftmaxHead: tree="huffman" is built from class_counts'):
        HierarchicalSoftmaxHead(16, 12, tree="huffman")
    with pytest.raises(ValueError, match="HierarchicalSoftmaxHead: tree must be one of"):
        HierarchicalSoftmaxHead(16, 12, tree="oak")
    with pytest.raises(ValueError, match="HierarchicalSoftmaxHead: tree must hold each of the 12 classes"):
        HierarchicalSoftmaxHead(16, 12, tree=[0, 1])
    for option, error, words in (
        ({"bias": 1}, TypeError, "bias must be True or False, got 1"),
        ({"sparse": 1}, TypeError, "sparse must be True or False, got 1"),
        ({"reduction": "max"}, ValueError, "reduction must be one of"),
    ):
        with pytest.raises(error, match=f"HierarchicalSoftmaxHead: {words}"):
            HierarchicalSoftmaxHead(16, 12, **option)
    for div_value in (0.5, float("inf")):
        with pytest.raises(ValueError, match="AdaptiveSoftmaxHead: div_value must be at least 1 and finite, got"):
            AdaptiveSoftmaxHead(16, 12, div_value=div_value)
    with pytest.raises(TypeError, match="AdaptiveSoftmaxHead: div_value must be a number, got '4'"):
        AdaptiveSoftmaxHead(16, 12, div_value="4")


# torch's own module


def theirs(cutoffs=(3, 7)):
    torch.manual_seed(3)
    return nn.AdaptiveLogSoftmaxWithLoss(16, 12, list(cutoffs))


def test_torchs_state_dict_loads_and_gives_the_same():
    module, head = theirs(), MAKE["adaptive"](bias=False)
    head.load_state_dict(module.state_dict())
    x, target = features(6), torch.tensor([0, 11, 3, 6, 7, 2])
    assert_close(head.log_prob(x), module.log_prob(x))
    assert_close(head(x, target), module(x, target).loss)


def test_the_best_class_is_that_of_torch():
    module, head = theirs(), MAKE["adaptive"](bias=False)
    head.load_state_dict(module.state_dict())
    best = head.predict(9 * features(300))[1][:, 0]
    assert torch.equal(best, module.predict(9 * features(300)))
    assert len(best.unique()) > 7  # of the shortlist and of both clusters


@pytest.mark.parametrize(
    ("cutoffs", "message"),
    [
        ([10, 100, 500], r"that of the classes from 500 on would have 16 / 4\*\*3"),
        ([0, 5], r"must rise and lie in \[1, 999\]"),
        ([5, 5], r"must rise and lie in \[1, 999\]"),
        ([9, 5], r"must rise and lie in \[1, 999\]"),
        ([5, 1000], "since the last cluster ends at num_classes by itself"),
    ],
)
def test_cutoffs_that_leave_a_cluster_nothing_are_refused(cutoffs, message):
    """torch makes the first of them, and its last cluster never learns."""
    with pytest.raises(ValueError, match=f"AdaptiveSoftmaxHead: .*{message}"):
        AdaptiveSoftmaxHead(16, 1000, cutoffs=cutoffs)


def test_frequent_targets_leave_the_clusters_alone():
    head = AdaptiveSoftmaxHead(16, 12, cutoffs=[3, 7], class_counts=COUNTS)
    # 5, 11 and 1 are the most frequent
    head(features(3), torch.tensor([5, 11, 1])).backward()
    assert all(not parameter.grad.any() for parameter in head.tail.parameters())
    head.zero_grad()
    head(features(3), torch.tensor([5, 6, 1])).backward()
    assert head.tail[0][0].weight.grad.any()
    assert not head.tail[1][0].weight.grad.any()


def test_cutoffs_follow_the_counts_and_may_be_none_at_all():
    # 901 of 1075 smoothed counts are 84 %, the four largest 96 %
    assert AdaptiveSoftmaxHead(16, 12, class_counts=COUNTS).cutoffs == (1, 4)
    head = AdaptiveSoftmaxHead(3, 12)
    assert head.cutoffs == ()
    assert_close(head.log_prob(torch.ones(3)), torch.log_softmax(head.head(torch.ones(3)), 0))
