"""Everything between scores and probabilities in PyTorch."""

from anymax._dims import ImplicitDimWarning
from anymax._dispatch import explain_backend, use_backend
from anymax.ops.gumbel.api import gumbel_softmax, sample
from anymax.ops.softmax.api import log_softmax, logsumexp, softmax, softmin

__version__ = "0.1.0"

__all__ = [
    "ImplicitDimWarning",
    "explain_backend",
    "gumbel_softmax",
    "log_softmax",
    "logsumexp",
    "sample",
    "softmax",
    "softmin",
    "use_backend",
]
