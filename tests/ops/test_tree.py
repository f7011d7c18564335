"""Trees over the classes: their probabilities against a walk by hand, how they are built, and what a loss touches."""

import heapq
import math

import pytest
import torch
from torch.testing import assert_close

from anymax.ops.tree.api import hierarchical_log_prob, hierarchical_softmax_loss
from anymax.ops.tree.structure import balanced, huffman, nested, starting_scores, tree_of, usual_cutoffs

NESTED = [[0, 1, 5], 6, [2, [3, [4, 7, 8]]]]


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def zipf(num_classes):
    return 1 / torch.arange(1, num_classes + 1, dtype=torch.float64)


def depths(parents, num_classes):
    """Steps from each class to the root, by hand."""
    found = []
    for node in range(num_classes):
        steps = 0
        while parents[node] != node:
            node, steps = int(parents[node]), steps + 1
        found.append(steps)
    return found


def probabilities_by_hand(parents, num_classes, features, weight, bias):
    """The product of softmaxes along each path, where scores are dealt out to nodes in the order of their numbers."""
    below = {}
    for node, parent in enumerate(parents.tolist()):
        if node != parent:
            below.setdefault(parent, []).append(node)
    first, scores = 0, {}
    for node in sorted(below):
        for child in below[node][:-1]:
            scores[child] = features @ weight[first] + bias[first]
            first += 1
        scores[below[node][-1]] = torch.zeros((), dtype=features.dtype)
    assert first == num_classes - 1
    found = []
    for node in range(num_classes):
        probability = torch.ones((), dtype=features.dtype)
        while (parent := int(parents[node])) != node:
            siblings = torch.stack([scores[child] for child in below[parent]]).exp()
            probability = probability * scores[node].exp() / siblings.sum()
            node = parent
        found.append(probability)
    return torch.stack(found)


TREES = {
    "nested": (nested(NESTED, 9), 9),
    "balanced": (balanced(13), 13),
    "huffman": (huffman(zipf(13)), 13),
    "chain": (nested([0, [1, [2, [3, [4, 5]]]]], 6), 6),
    "flat": (nested([3, 1, 0, 2], 4), 4),
    "narrow root": (nested([[0, 1, 2], [3, 4]], 5), 5),
    "two": (balanced(2), 2),
}


@pytest.mark.parametrize(("parents", "num_classes"), TREES.values(), ids=TREES)
def test_probabilities_are_products_of_softmaxes_along_the_path(parents, num_classes):
    features, weight, bias = randn(5, seed=1), randn(num_classes - 1, 5, seed=2), randn(num_classes - 1, seed=3)
    expected = probabilities_by_hand(parents, num_classes, features, weight, bias)
    tree = tree_of(parents, num_classes)
    log_probs = hierarchical_log_prob(features, weight, tree, linear_bias=bias)
    assert_close(log_probs.exp(), expected)
    target = torch.arange(num_classes)
    losses = hierarchical_softmax_loss(
        features.expand(num_classes, 5), weight, target, tree, linear_bias=bias, reduction="none"
    )
    assert_close(losses, -expected.log())


@pytest.mark.parametrize("build", [lambda size: balanced(size), lambda size: huffman(zipf(size))])
def test_probabilities_of_many_classes_sum_to_one_in_float32(build):
    tree = tree_of(build(10_000), 10_000)
    features, weight, bias = (tensor.float() for tensor in (randn(4, 8), randn(9_999, 8, seed=1), randn(9_999, seed=2)))
    log_probs = hierarchical_log_prob(features, weight, tree, linear_bias=bias)
    assert log_probs.dtype == torch.float32
    assert_close(log_probs.double().exp().sum(-1), torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_classes", [1, 2, 3, 4, 5, 7, 8, 9, 100])
def test_a_balanced_tree_has_the_least_depth_and_keeps_neighbours_together(num_classes):
    found = depths(balanced(num_classes), num_classes)
    assert max(found) == math.ceil(math.log2(num_classes))
    assert max(found) - min(found) <= 1
    # the leaves of a full binary tree
    assert sum(2.0**-depth for depth in found) == 1
    if num_classes > 1:
        assert balanced(num_classes)[0] == balanced(num_classes)[1]


def steps_of_huffman(counts):
    """The total number of steps in the best tree, by joining the two rarest again and again."""
    heap, total = counts.tolist(), 0.0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        total += joined
        heapq.heappush(heap, joined)
    return total


@pytest.mark.parametrize("seed", range(5))
def test_no_binary_tree_takes_fewer_steps_than_huffmans(seed):
    counts = randn(40, seed=seed).exp() ** 2
    found = torch.tensor(depths(huffman(counts), 40), dtype=torch.float64)
    assert (counts * found).sum().item() == pytest.approx(steps_of_huffman(counts))
    probabilities = counts / counts.sum()
    entropy = -(probabilities * probabilities.log2()).sum()
    assert entropy <= (probabilities * found).sum() < entropy + 1


def test_equal_counts_make_a_flat_tree():
    assert set(depths(huffman(torch.ones(64)), 64)) == {6}
    # a class goes before a node of the same count
    assert set(depths(huffman(torch.tensor([1, 1, 2, 2])), 4)) == {2}


@pytest.mark.parametrize(("parents", "num_classes"), TREES.values(), ids=TREES)
def test_starting_scores_give_any_frequencies(parents, num_classes):
    tree, frequencies = tree_of(parents, num_classes), randn(num_classes, seed=4).softmax(0)
    weight = torch.zeros(num_classes - 1, 3, dtype=torch.float64)
    start = starting_scores(tree, frequencies)
    assert_close(hierarchical_log_prob(torch.ones(3).double(), weight, tree, linear_bias=start).exp(), frequencies)


def test_zero_scores_and_sure_ones():
    """Two binary steps cost 2 log 2; a step that is decided costs nothing."""
    tree, features = tree_of(nested([[0, 1], [2, 3]], 4), 4), torch.ones(1, 1)
    loss = hierarchical_softmax_loss(features, torch.zeros(3, 1), torch.tensor([2]), tree)
    assert loss.item() == pytest.approx(2 * math.log(2))
    assert hierarchical_softmax_loss(features, torch.full((3, 1), 20.0), torch.tensor([0]), tree).item() < 1e-4
    # e^200 is no number of float32
    assert hierarchical_log_prob(features, torch.full((3, 1), 200.0), tree).tolist() == [[0, -200, -200, -400]]


def test_an_only_class_is_sure():
    tree, features, weight = tree_of(balanced(1), 1), torch.ones(2, 3), torch.zeros(0, 3)
    assert hierarchical_log_prob(features, weight, tree).tolist() == [[0], [0]]
    assert hierarchical_softmax_loss(features, weight, torch.tensor([0, 0]), tree) == 0


def test_only_the_scores_of_the_path_get_a_gradient():
    tree = tree_of(nested(NESTED, 9), 9)
    weight = torch.zeros(8, 3, requires_grad=True)
    # 7 goes through the root, with two scores, and three nodes below, with 1, 1 and 2
    hierarchical_softmax_loss(torch.ones(1, 3), weight, torch.tensor([7]), tree, sparse=True).backward()
    rows = weight.grad.coalesce()
    touched = rows.indices()[0][rows.values().abs().sum(1) > 0]
    assert len(touched) == 6
    dense = torch.zeros(8, 3, requires_grad=True)
    hierarchical_softmax_loss(torch.ones(1, 3), dense, torch.tensor([7]), tree).backward()
    assert_close(weight.grad.to_dense(), dense.grad)
    # 5 hangs below the root, whose score is the last here; the other paths have five steps or fewer
    tree = tree_of(huffman(2.0 ** torch.arange(6)), 6)
    weight = torch.zeros(5, 3, requires_grad=True)
    hierarchical_softmax_loss(torch.ones(1, 3), weight, torch.tensor([5]), tree, sparse=True).backward()
    assert weight.grad.coalesce().indices().tolist() == [[4]], "others would move under an optimiser with momentum"


def test_an_only_child_decides_nothing():
    assert torch.equal(nested([[[0]], [[1, [2]]]], 3), nested([0, [1, 2]], 3))


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ([0, [1, 2], 2], ValueError, "hold each class once, and class 2 stands there twice"),
        ([0, 1], ValueError, "hold each of the 3 classes, and 1 are missing, class 2 first"),
        ([0, 1, 3], ValueError, "hold the class ids 0 to 2, got 3"),
        ([0, 1, []], ValueError, "must not hold an empty list"),
        ([0, 1, "2"], TypeError, "made of lists and class ids, got '2'"),
        ([0, 1, True], TypeError, "made of lists and class ids, got True"),
    ],
)
def test_what_is_no_tree_over_the_classes_is_said(tree, error, message):
    with pytest.raises(error, match=message):
        nested(tree, 3)


def test_parents_that_run_in_a_circle_are_no_tree():
    with pytest.raises(ValueError, match="some nodes never reach the root"):
        tree_of(torch.tensor([3, 3, 4, 4, 3]), 3)


def test_bad_targets_and_shapes_are_said():
    tree, weight = tree_of(balanced(4), 4), torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"target ids must be in \[0, 3\] or ignore_index \(-100\), got 4"):
        hierarchical_softmax_loss(torch.zeros(1, 2), weight, torch.tensor([4]), tree)
    with pytest.raises(ValueError, match="input must end in the 2 features of the head, got shape"):
        hierarchical_softmax_loss(torch.zeros(1, 3), weight, torch.tensor([1]), tree)
    with pytest.raises(
        ValueError, match=r"target must have the input's shape without the features, \(1,\), got \(1, 4\)"
    ):
        hierarchical_softmax_loss(torch.zeros(1, 2), weight, torch.zeros(1, 4, dtype=torch.long), tree)
    with pytest.raises(TypeError, match="target must hold class ids"):
        hierarchical_softmax_loss(torch.zeros(1, 2), weight, torch.zeros(1), tree)
    with pytest.raises(TypeError, match="sparse must be True or False, got 1"):
        hierarchical_softmax_loss(torch.zeros(1, 2), weight, torch.tensor([1]), tree, sparse=1)
    with pytest.raises(TypeError, match="ignore_index must be an int"):
        hierarchical_softmax_loss(torch.zeros(1, 2), weight, torch.tensor([1]), tree, ignore_index=0.5)


def test_cutoffs_stand_where_the_data_do():
    frequencies = zipf(1000) / zipf(1000).sum()
    first, second = usual_cutoffs(1000, 64, 4.0, frequencies)
    before = frequencies.cumsum(0)
    assert before[first - 2] < 0.8 <= before[first - 1]
    assert before[second - 2] < 0.95 <= before[second - 1]
    assert usual_cutoffs(1000, 64, 4.0, None) == (40, 200)
    # one layer of four features' quarter is all there is room for, and none of three
    assert usual_cutoffs(1000, 4, 4.0, None) == (40,)
    assert usual_cutoffs(1000, 3, 4.0, None) == ()
    assert usual_cutoffs(1, 64, 4.0, None) == ()
