"""Ops with their exact answers, in numpy's longdouble; a file per family."""

from anymax.bench.exact import binary, entmax, rectified, softmax
from anymax.bench.exact.op import Op

OPS: dict[str, Op] = {**softmax.OPS, **entmax.OPS, **rectified.OPS, **binary.OPS}

__all__ = ["OPS", "Op"]
