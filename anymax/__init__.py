"""Everything between scores and probabilities in PyTorch."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING or sys.modules.get("torch"):
    from anymax import nn, noise
    from anymax._core.backends import backends
    from anymax._core.dims import ImplicitDimWarning
    from anymax._core.dispatch import explain_backend, use_backend
    from anymax._core.native import MissingKernelsWarning
    from anymax.inspect.explain import explain
    from anymax.inspect.graph import check_model
    from anymax.inspect.probing import probe
    from anymax.inspect.watching import MisuseWarning, watch
    from anymax.ops.binary.api import asymmetric_loss, binary_cross_entropy_with_logits, sigmoid_focal_loss
    from anymax.ops.contrast.api import info_nce
    from anymax.ops.cross_entropy.api import LogProb, cross_entropy, log_prob
    from anymax.ops.entmax.api import entmax, entmax_loss, sparsemax, sparsemax_loss
    from anymax.ops.entropy.api import entropy
    from anymax.ops.gumbel.api import GumbelTopK, gumbel_softmax, gumbel_topk, sample
    from anymax.ops.imbalance.api import effective_number_weights, ldam_loss
    from anymax.ops.linear.api import linear_cross_entropy, linear_log_prob
    from anymax.ops.nce.api import nce_loss, negative_sampling_loss, sampled_softmax_loss
    from anymax.ops.rectified.api import relumax, softpick, taylor_softmax
    from anymax.ops.softmax.api import log_softmax, logsumexp, softmax, softmin
    from anymax.ops.truncation.api import keep_mask
else:
    # `anymax check` reads code and needs no torch; docs/design.md says what these lines wait for, and why
    from anymax._core.waiting import wait

    wait(sys.modules[__name__])

__version__ = "0.1.0"

__all__ = [
    "GumbelTopK",
    "ImplicitDimWarning",
    "LogProb",
    "MissingKernelsWarning",
    "MisuseWarning",
    "asymmetric_loss",
    "backends",
    "binary_cross_entropy_with_logits",
    "check_model",
    "cross_entropy",
    "effective_number_weights",
    "entmax",
    "entmax_loss",
    "entropy",
    "explain",
    "explain_backend",
    "gumbel_softmax",
    "gumbel_topk",
    "info_nce",
    "keep_mask",
    "ldam_loss",
    "linear_cross_entropy",
    "linear_log_prob",
    "log_prob",
    "log_softmax",
    "logsumexp",
    "nce_loss",
    "negative_sampling_loss",
    "nn",
    "noise",
    "probe",
    "relumax",
    "sample",
    "sampled_softmax_loss",
    "sigmoid_focal_loss",
    "softmax",
    "softmin",
    "softpick",
    "sparsemax",
    "sparsemax_loss",
    "taylor_softmax",
    "use_backend",
    "watch",
]
