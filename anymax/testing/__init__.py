"""What anymax promises, as tests that anybody can run: a table of cases and the laws that each must meet."""

from anymax.testing.cases import CASES, Case
from anymax.testing.laws import LAWS

__all__ = ["CASES", "LAWS", "Case"]
