"""Results that are named tuples of tensors."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def made_of_parts(kind: type) -> None:
    """Let a named tuple be made of its fields, or of one iterable: so torch rebuilds it for a tensor subclass."""
    from_fields = kind.__new__

    def from_fields_or_parts(cls: type, *fields: Any, **named: Any) -> Any:
        if len(fields) == 1 and not named and not isinstance(fields[0], Tensor):
            (fields,) = fields
        return from_fields(cls, *fields, **named)

    # A named tuple cannot have a `__new__` in its body, and a subclass would be none for pytree and Dynamo.
    kind.__new__ = from_fields_or_parts  # type: ignore[method-assign]
