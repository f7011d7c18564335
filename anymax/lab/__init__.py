"""The main job in Python: `compare` says which output head suits the data, `load` gives the model that it kept."""

from anymax.lab.api import compare
from anymax.lab.model.classifier import KeptClassifier, load
from anymax.lab.results import Comparison

__all__ = ["Comparison", "KeptClassifier", "compare", "load"]
