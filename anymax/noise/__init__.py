"""Noise laws: what noise-contrastive estimation and sampled softmax compare a target with.

No law is a default anywhere: a law that does not suit the classes costs accuracy silently.
"""

from anymax.noise.draws import Candidates
from anymax.noise.laws import All, LogUniform, Noise, Uniform, Unigram

__all__ = ["All", "Candidates", "LogUniform", "Noise", "Uniform", "Unigram"]
