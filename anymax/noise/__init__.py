"""Noise laws: what noise-contrastive estimation and sampled softmax compare a target with.

None of them is a default: a noise law that does not suit the classes silently costs accuracy.
"""

from anymax.noise.counted import LearnedUnigram, Unigram
from anymax.noise.draws import Candidates
from anymax.noise.in_batch import InBatch
from anymax.noise.laws import All, LogUniform, Noise, Uniform
from anymax.noise.mixture import Mixture

__all__ = [
    "All",
    "Candidates",
    "InBatch",
    "LearnedUnigram",
    "LogUniform",
    "Mixture",
    "Noise",
    "Uniform",
    "Unigram",
]
