"""What is measured: every op is there, everybody computes the same, and a wrong answer is noticed."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

import anymax
from anymax._core.dispatch import OPS as ALL_OPS
from anymax.bench import checking, problems
from anymax.bench.cases import BACKWARD, CASES, NOISE, OPS, QUICK, TINY, Case, chosen
from anymax.bench.contenders import as_tensors, compiled, worked
from anymax.bench.errors import BenchError

# As another op with its sign turned, as a loss with a reduction of its own, or inside a head.
NOT_MEASURED = {
    "softmin",
    "linear_log_prob",
    "one_vs_rest_loss",
    "gumbel_softmax_loss",
    "adaptive_log_prob",
    "hierarchical_log_prob",
}


def small(case: Case) -> Case:
    shapes = {2: (12, 10), 3: (8, 4, 50), 4: (2, 3, 4, 5)}
    special = {NOISE: (100, 1000), "keep_mask": (12, 100), "info_nce": (8, 4, 8)}
    return dataclasses.replace(case, shape=special.get(case.op, shapes[len(case.shape)]))


SMALL = tuple(dict.fromkeys(small(case) for case in CASES))


def test_every_op_is_measured():
    assert set(OPS) - {NOISE} == set(ALL_OPS) - NOT_MEASURED


def test_the_quick_cases_and_those_of_one_op_are_of_the_table():
    assert set(QUICK) <= {*CASES, Case("gumbel_softmax", TINY, variant="soft")}
    assert {case.op for case in chosen(["sample", "softmax"])} == {"sample", "softmax"}
    assert chosen(["softmax"], quick=True) == (Case("softmax", TINY),)
    with pytest.raises(BenchError, match=r"There is no op 'sofmax' to measure: expected some of softmax, log_softmax,"):
        chosen(["sofmax"])


def both(case):
    """The problem, anymax's answer and the exact one."""
    problem = problems.problem_of(case)
    problem.require_grad(case.work)
    got = as_tensors(worked(problem.seeded or problem.ours, problem.inputs, case)())
    return problem, got, checking.exact_answer(problem, case)


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_all_contenders_give_the_exact_answer(case):
    problem, got, exact = both(case)
    assert checking.difference(problem, got, exact) is None
    # the timed call is the checked one but for its draws
    timed = as_tensors(worked(problem.ours, problem.inputs, case)())
    for name, function in problem.theirs.items():
        theirs = as_tensors(worked(function, problem.inputs, case)())
        assert [one.shape for one in theirs] == [one.shape for one in timed], name
        if problem.exact is None:
            assert checking.difference(problem, theirs, exact) is None, name


def faults(result, is_choice):
    """The result made wrong in several ways."""
    step = 100 * checking.tolerance(result.dtype) if result.dtype.is_floating_point else 0
    if result.dtype == torch.bool:
        return [~result]
    if result.dtype == torch.int64:
        return [result + 1]
    assert result.any(), "nothing but zeros: a factor would not show"
    wrong = result.roll(1, -1) if is_choice else (1 + step) * result + step * result.abs().max()
    return [wrong, torch.full_like(result, math.nan)]


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_a_fault_in_any_result_is_noticed(case):
    problem, got, exact = both(case)
    for number, result in enumerate(got):
        dense = result.to_dense() if result.is_sparse else result
        for fault in faults(dense, problem.is_choice and number == 0):
            changed = [*got[:number], fault, *got[number + 1 :]]
            assert checking.difference(problem, changed, exact) is not None, number


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_a_part_of_the_batch_stands_for_all_of_it(case, monkeypatch):
    monkeypatch.setattr(checking, "ENTRIES", 1)
    problem, got, exact = both(case)
    assert checking.difference(problem, got, exact) is None


def test_behind_a_part_of_the_batch_nothing_is_looked_at(monkeypatch):
    monkeypatch.setattr(checking, "ENTRIES", 30)
    for case in (Case("softmax", (12, 10), BACKWARD), Case("softmax", (12, 10), BACKWARD, dim=0)):
        problem, got, exact = both(case)
        assert exact[0].numel() < got[0].numel()
        assert checking.difference(problem, [2 * got[0], got[1]], exact) is not None


def test_what_torch_compiles_computes_the_same():
    case = Case("softmax", (12, 10), BACKWARD)
    problem, _, exact = both(case)
    call = compiled(problem.theirs["torch"], problem.inputs, case)
    assert checking.difference(problem, as_tensors(call()), exact) is None


def test_a_table_of_classes_gets_a_sparse_gradient():
    case = Case("nce_loss", (8, 4, 50), BACKWARD)
    problem = problems.problem_of(case)
    problem.require_grad(case.work)
    for function in (problem.ours, problem.theirs["torch"]):
        assert worked(function, problem.inputs, case)()[2].is_sparse


def test_draws_differ_from_call_to_call():
    problem = problems.problem_of(Case("sample", (12, 10)))
    calls = [problem.ours(*problem.inputs) for _ in range(8)]
    assert any(not torch.equal(calls[0], call) for call in calls)
    assert anymax.softmax(problem.inputs[0], 1).shape == (12, 10)
