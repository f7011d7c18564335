"""Softmax over one sample, a batch and a sequence; `dim` says which entries compete.

Run: python examples/softmax_and_dim.py
"""

import torch

import anymax
from anymax import softmax


def main() -> None:
    # One sample: there is one axis, so nothing has to be said.
    print("1-D, no dim:        ", softmax(torch.tensor([1.0, 2.0, 3.0])))

    # A batch (samples, classes): the classes compete, and each row sums to 1.
    batch = torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]])
    probs = softmax(batch, dim=1)
    print("2-D, dim=1:         ", probs.flatten())
    print("  sums of the rows: ", probs.sum(1))

    # The same batch over the wrong axis: no error, but now each class sums to 1 over the samples.
    wrong = softmax(batch, dim=0)
    print("2-D, dim=0:         ", wrong.flatten())
    print("  sums of the rows: ", wrong.sum(1))
    print(" ", anymax.explain(batch, dim=0).summary)

    # Features (samples, time, classes): dim=2, dim=-1 and the pattern mean the same.
    features = torch.arange(24.0).sin().reshape(2, 3, 4)
    probs = softmax(features, dim=2)
    print("3-D, dim=2:         ", probs[0, 0])
    print("  sums over classes:", probs.sum(2).flatten())
    print("  as a pattern:     ", torch.equal(probs, softmax(features, "batch time [classes]")))


if __name__ == "__main__":
    main()
