"""check_model: what a traced model and its loss show about axes, scores and probabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from anymax._core.errors import CALLER, named_after_function
from anymax.inspect.model_report import ModelReport


@named_after_function
def check_model(
    model: nn.Module,
    example_input: Any,
    *,
    loss: Callable[..., Any] | None = None,
    target: Any = None,
    batch_dim: int = 0,
) -> ModelReport:
    """Find axes and losses that cannot be meant in a model, from its graph.

    The model, and the loss behind it, are traced by `torch.export` with a batch of any size: an axis whose size
    contains the batch is known as such, a softmax is followed to the loss or the product that takes it, through views,
    casts, dropout and masks. Nothing is trained, no number is computed, and the model stays as it was.

    It finds a softmax over the batch, over one entry, over another axis of the attention than is summed, over one line
    of an image; losses that apply a softmax or a sigmoid once more, or are given what they do not take; logarithms of
    probabilities; masks that do not mask. It cannot find what is right in the graph and not meant: no finding is no
    proof. Branches that the example does not take are not in the graph.

    Args:
        model: in the mode that is meant, `train()` or `eval()`.
        example_input: a tensor, a tuple of arguments, or a dict of keyword arguments. Two samples or more, and sizes
            that differ from one another where the model allows it. Its values are not read.
        loss: called as `loss(output, target)`, or as `loss(output)` without a target; a module or a function.
        target: a tensor, or what else the loss takes.
        batch_dim: the axis of the samples in the first input. Other tensors of input and target that have its size
            there, or on one other axis alone, are taken to have the batch there.

    Returns:
        A `ModelReport`: `.findings`, and as text what was found, what was looked at and what was not. It is false
        where nothing was found.

    Raises:
        TypeError: no module. ValueError: no tensor, or a single sample. RuntimeError: the model cannot be exported; the
            message says why.

    Example:
        >>> class Classifier(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.linear = torch.nn.Linear(4, 3)
        ...     def forward(self, x):
        ...         return self.linear(x).softmax(dim=0)
        >>> loss, target = torch.nn.CrossEntropyLoss(), torch.tensor([0, 2])
        >>> found = anymax.check_model(Classifier(), torch.zeros(2, 4), loss=loss, target=target)
        >>> for finding in found.findings:
        ...     print(finding.code, finding.message.partition(":")[0])
        AMX102 softmax over dim 0 of f32[batch, 3] normalises over the batch
        AMX201 cross_entropy of probabilities
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"{CALLER}: model must be a torch.nn.Module, got {type(model).__name__}")

    args, kwargs = _arguments(example_input)
    # it imports sympy, which takes longer than all of anymax
    from anymax.inspect.exported.look import look

    return look(model, args, kwargs, loss, target, batch_dim)


def _arguments(example_input: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example_input, Tensor):
        return (example_input,), {}
    if isinstance(example_input, Mapping):
        return (), dict(example_input)
    if isinstance(example_input, (tuple, list)):
        return tuple(example_input), {}
    raise TypeError(
        f"{CALLER}: example_input must be a tensor, a tuple of arguments or a dict of keyword arguments, "
        f"got {type(example_input).__name__}"
    )
