"""Noise laws: what noise-contrastive estimation and sampled softmax compare a target with.

None of them is a default: a noise law that does not suit the classes silently costs accuracy.
"""

from anymax.noise.draws import Candidates
from anymax.noise.laws import All, LogUniform, Noise, Uniform, Unigram

__all__ = ["All", "Candidates", "LogUniform", "Noise", "Uniform", "Unigram"]
