"""The main job in Python: `compare` says which output head suits the data."""

from anymax.lab.api import compare
from anymax.lab.results import Comparison

__all__ = ["Comparison", "compare"]
