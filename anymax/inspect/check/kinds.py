"""Of what class a value is: what isinstance, hasattr and `is None` give, where that is known."""

from __future__ import annotations

import ast
import re
from typing import Any

from anymax.inspect.check import layers
from anymax.inspect.check.values import (
    Class,
    Const,
    Either,
    External,
    Function,
    Instance,
    Layer,
    Partial,
    Seq,
    Size,
    Sizes,
    Table,
    Tensor,
    Value,
)

MODULES = ("torch.nn.Module", "torch.nn.modules.Module", "torch.nn.modules.module.Module")
TENSORS = ("torch.Tensor", "torch.FloatTensor")
# What a tensor is not; it may be an array or a list, since those hold the same numbers
OTHER_THAN_TENSORS = ("builtins.tuple", "builtins.dict", "builtins.str", "builtins.bytes", *MODULES)
BUILTINS: dict[str, type] = {
    f"builtins.{one.__name__}": one for one in (bool, int, float, str, bytes, list, tuple, dict, set)
}
LISTS = ("builtins.list", "builtins.tuple")
# Classes of torch from which other ones are made
BASES = re.compile(r"^(_|Lazy)|Base$|^(Module|Container)$")
# A class that may say yes to objects of another one
LENIENT = ("Protocol", "ABC", "ABCMeta")


def is_instance(value: Value | None, cls: Value) -> bool | None:
    """What `isinstance(value, cls)` gives; None where it is not known."""
    if isinstance(cls, Seq):
        return _any([is_instance(value, one) for one in cls.items])
    if isinstance(value, Either):
        return all_alike([is_instance(one, cls) for one in value.options])
    if isinstance(value, Instance):
        return _is_object_of(value.cls, cls)
    if isinstance(value, Layer):
        return _is_layer_of(value, cls)
    if isinstance(cls, Class):
        return False if isinstance(value, Const | Seq | Table) and not _is_record(value) else None
    if not isinstance(cls, External):
        return None
    if isinstance(value, Const):
        return _is_constant_of(value.value, cls.name)
    if isinstance(value, Tensor):
        return True if cls.name in TENSORS else False if cls.name in OTHER_THAN_TENSORS else None
    if isinstance(value, Seq):
        # a list is not told from a tuple
        return None if cls.name in LISTS else False if cls.name in (*BUILTINS, *TENSORS, *MODULES) else None
    if isinstance(value, Table) and not value.is_record:
        return cls.name == "builtins.dict" if cls.name in (*BUILTINS, *TENSORS, *MODULES) else None
    return None


def _any(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def all_alike(answers: list[bool | None]) -> bool | None:
    """The answer of all; None where they differ."""
    return answers[0] if answers and all(one is answers[0] for one in answers) else None


def _is_record(value: Value) -> bool:
    return isinstance(value, Table) and value.is_record


def _is_object_of(own: Class, cls: Value) -> bool | None:
    known = all(isinstance(base, Class | External) for one in own.ancestry() for base in one.bases)
    if isinstance(cls, Class):
        if any(one.node is cls.node for one in own.ancestry()):
            return True
        lenient = any(name.rpartition(".")[2] in LENIENT for name in cls.foreign_bases())
        return None if lenient or not known else False
    if not isinstance(cls, External):
        return None
    bases = own.foreign_bases()
    if cls.name in bases or (cls.name in MODULES and own.is_module):
        return True
    only_a_module = known and all(name in (*MODULES, "builtins.object") for name in bases)
    return False if only_a_module and (layers.is_layer(cls.name) or cls.name in (*BUILTINS, *TENSORS)) else None


def _is_layer_of(layer: Layer, cls: Value) -> bool | None:
    if not isinstance(cls, External) or not layer.name.isidentifier() or layer.name[:1] == "*":
        return None
    if cls.name in (*BUILTINS, *TENSORS):
        return False
    short = layers.short_name(cls.name)
    if not cls.name.startswith("torch.nn.") or BASES.search(short) or BASES.search(layer.name):
        return None
    if short == layer.name:
        return True
    # an object of a class that only renames the layer may be one of others, too
    node = layer.place.node
    return False if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(layer.name) else None


def _is_constant_of(value: Any, name: str) -> bool | None:
    if name in BUILTINS:
        return isinstance(value, BUILTINS[name])
    return False if name in (*TENSORS, *MODULES) else None


def has_attribute(value: Value | None, name: str) -> bool | None:
    """What `hasattr(value, name)` gives; that it is False is never known, since anybody may set an attribute."""
    if isinstance(value, Either):
        return all_alike([has_attribute(one, name) for one in value.options])
    return True if isinstance(value, Instance) and value.cls.member(name) is not None else None


def is_none(value: Value) -> bool | None:
    if isinstance(value, Either):
        return all_alike([is_none(one) for one in value.options])
    if isinstance(value, Const):
        return value.value is None
    known = Tensor | Layer | Instance | Function | Class | Seq | Table | External | Size | Sizes | Partial
    return False if isinstance(value, known) else None
