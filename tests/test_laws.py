"""Every op in the registry meets every law, in every way of calling it that the table of cases lists."""

import pytest
import torch

from anymax._core.dispatch import OPS, backend_names, use_backend
from anymax.testing import CASES, LAWS
from anymax.testing.laws import Refused, compiles_whole, holds

# the last row of an op asks for the most
RICHEST_CASES = [next(case for case in reversed(CASES) if case.op == op) for op in sorted({c.op for c in CASES})]
# automatic choice takes torch's own op for these
PLAIN_CASES = [case for case in CASES if OPS[case.op].plain and case.name in ("last", "ids")]
# float64 goes the way of float32, and float16 that of bfloat16
INDUCTOR_DTYPES = (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("op", sorted(OPS))
def test_every_op_has_a_case(op):
    assert any(case.op == op for case in CASES), f"add a row for {op} to anymax/testing/cases/"


@pytest.mark.parametrize("backend", backend_names())
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_law(case, law, backend):
    try:
        holds(law, case, backend)
    except Refused as refusal:
        pytest.skip(str(refusal))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("case", PLAIN_CASES, ids=str)
def test_law_of_torch_s_own_op_where_it_serves_the_plain_call(case, law):
    law(case)


def test_the_reference_refuses_nothing():
    """So that no law is skipped in silence where a kernel may."""
    assert backend_names()[0] == "reference"
    for case in CASES:
        floats, fixed = case.make()
        with use_backend("reference"):
            case.call(*floats, *fixed)


@pytest.mark.parametrize("dtype", INDUCTOR_DTYPES, ids=str)
@pytest.mark.parametrize("case", RICHEST_CASES, ids=str)
def test_inductor_agrees(case, dtype):
    compiles_whole(case, backend="inductor", dtype=dtype)


def test_inductor_compiles_stay_few():
    assert len(RICHEST_CASES) * len(INDUCTOR_DTYPES) < 80
