"""What each kind of expression stands for."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anymax.inspect.check import apply, layers
from anymax.inspect.check.frames import Frame, Scope
from anymax.inspect.check.values import (
    Const,
    Function,
    Layer,
    Many,
    Seq,
    Super,
    Table,
    Unknown,
    Value,
    join,
)

if TYPE_CHECKING:
    from anymax.inspect.check.interpret import Interpreter


def _constant(interpreter: Interpreter, node: ast.Constant, frame: Frame) -> Value:
    return Const(node.value)


def _name(interpreter: Interpreter, node: ast.Name, frame: Frame) -> Value:
    return interpreter.lookup(node.id, frame.scope)


def _sequence(interpreter: Interpreter, node: ast.Tuple | ast.List, frame: Frame) -> Value:
    items: list[Value] = []
    for one in node.elts:
        if not isinstance(one, ast.Starred):
            items.append(interpreter.eval(one, frame))
            continue
        spread = apply.spread(interpreter.eval(one.value, frame))
        if not isinstance(spread, Seq):
            return Unknown()
        items.extend(spread.items)
    return Seq(tuple(items))


def _dict(interpreter: Interpreter, node: ast.Dict, frame: Frame) -> Value:
    items: dict[Any, Value] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        worth = interpreter.eval(value, frame)
        if key is None:
            if not isinstance(worth, Table):
                return Unknown()
            items.update(worth.items)
            continue
        name = interpreter.eval(key, frame)
        if not isinstance(name, Const):
            return Unknown()
        items[name.value] = worth
    return Table(items)


def _lambda(interpreter: Interpreter, node: ast.Lambda, frame: Frame) -> Value:
    return Function(node, frame.scope)


def _if_exp(interpreter: Interpreter, node: ast.IfExp, frame: Frame) -> Value:
    truth = interpreter.truth(interpreter.eval(node.test, frame), node.test)
    if truth is not None:
        return interpreter.eval(node.body if truth else node.orelse, frame)
    found: list[Value] = []

    def way(holds: bool) -> Callable[[], bool]:
        def go() -> bool:
            interpreter.assume(node.test, holds, frame)
            found.append(interpreter.eval(node.body if holds else node.orelse, frame))
            return True

        return go

    interpreter.branches([way(True), way(False)])
    return join(found)


def _bool_op(interpreter: Interpreter, node: ast.BoolOp, frame: Frame) -> Value:
    ends_on = isinstance(node.op, ast.Or)
    found: list[Value] = []
    for one in node.values:
        value = interpreter.eval(one, frame)
        truth = interpreter.truth(value)
        if truth is ends_on or one is node.values[-1]:
            found.append(value)
            break
        if truth is None:
            found.append(value)
    return join(found)


def _unary(interpreter: Interpreter, node: ast.UnaryOp, frame: Frame) -> Value:
    value = interpreter.eval(node.operand, frame)
    if isinstance(node.op, ast.Not):
        truth = interpreter.truth(value)
        return Unknown() if truth is None else Const(not truth)
    return apply.unary(interpreter, node, value, frame)


def _binary(interpreter: Interpreter, node: ast.BinOp, frame: Frame) -> Value:
    return apply.binary(
        interpreter, node, interpreter.eval(node.left, frame), interpreter.eval(node.right, frame), frame
    )


def _compare(interpreter: Interpreter, node: ast.Compare, frame: Frame) -> Value:
    left = interpreter.eval(node.left, frame)
    rights = [interpreter.eval(one, frame) for one in node.comparators]
    return apply.compare(interpreter, node, left, rights, frame)


def _attribute(interpreter: Interpreter, node: ast.Attribute, frame: Frame) -> Value:
    return interpreter.attribute(interpreter.eval(node.value, frame), node.attr, node.value, frame)


def _subscript(interpreter: Interpreter, node: ast.Subscript, frame: Frame) -> Value:
    owner = interpreter.eval(node.value, frame)
    return apply.subscript(interpreter, owner, node, frame)


def _comprehension(
    interpreter: Interpreter, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: Frame
) -> Value:
    inner = Frame(Scope(frame.module, frame.scope), frame.owner, frame.self)
    found: list[Value] = []
    exact = _rounds(interpreter, node.generators, inner, lambda: found.append(interpreter.eval(node.elt, inner)))
    return Seq(tuple(found)) if exact else Many(join(found) if found else Unknown())


def _dict_comprehension(interpreter: Interpreter, node: ast.DictComp, frame: Frame) -> Value:
    inner = Frame(Scope(frame.module, frame.scope), frame.owner, frame.self)
    found: list[tuple[Value, Value]] = []

    def add() -> None:
        found.append((interpreter.eval(node.key, inner), interpreter.eval(node.value, inner)))

    exact = _rounds(interpreter, node.generators, inner, add)
    items = {key.value: value for key, value in found if isinstance(key, Const)}
    return Table(items) if exact and len(items) == len(found) else Unknown()


def _rounds(
    interpreter: Interpreter, generators: list[ast.comprehension], frame: Frame, body: Callable[[], object]
) -> bool:
    """Run a comprehension's body for each item; whether each item was known."""
    if not generators:
        body()
        return True
    first, *rest = generators
    source = interpreter.eval(first.iter, frame)
    exact = apply.is_exact(source) and not first.ifs
    for item in interpreter.items_of(source, first.iter):
        interpreter.assign(first.target, item, frame)
        for test in first.ifs:
            interpreter.eval(test, frame)
        exact = _rounds(interpreter, rest, frame, body) and exact
    return exact


def _named(interpreter: Interpreter, node: ast.NamedExpr, frame: Frame) -> Value:
    value = interpreter.eval(node.value, frame)
    interpreter.assign(node.target, value, frame)
    return value


def _inner(interpreter: Interpreter, node: ast.Await | ast.YieldFrom | ast.Starred, frame: Frame) -> Value:
    return interpreter.eval(node.value, frame)


def _yield(interpreter: Interpreter, node: ast.Yield, frame: Frame) -> Value:
    if node.value is not None:
        interpreter.eval(node.value, frame)
    return Unknown()


def _call(interpreter: Interpreter, node: ast.Call, frame: Frame) -> Value:
    if isinstance(node.func, ast.Name) and node.func.id == "super" and frame.owner and frame.self:
        return Super(frame.owner, frame.self)
    callee = interpreter.eval(node.func, frame)
    args: list[Value] = []
    for one in node.args:
        if isinstance(one, ast.Starred):
            spread = apply.spread(interpreter.eval(one.value, frame))
            if isinstance(spread, Seq):
                args.extend(spread.items)
            else:
                args.append(spread if isinstance(spread, Many) else Many(Unknown()))
        else:
            args.append(interpreter.eval(one, frame))
    kwargs: dict[str, Value] = {}
    for keyword in node.keywords:
        value = interpreter.eval(keyword.value, frame)
        if keyword.arg is not None:
            kwargs[keyword.arg] = value
        elif isinstance(value, Table):
            kwargs.update({key: worth for key, worth in value.items.items() if isinstance(key, str)})
        else:
            kwargs["**"] = value
    result = interpreter.call(callee, args, kwargs, node, frame)
    if (
        isinstance(result, Layer)
        and result.name in layers.LOSSES
        and result.place.node is node
        and not interpreter.assuming
    ):
        interpreter.named.setdefault(frame.module.path, {}).setdefault(layers.A_LOSS, []).append(result)
    return result


EXPRESSIONS: dict[type[ast.expr], Callable[[Interpreter, Any, Frame], Value]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Tuple: _sequence,
    ast.List: _sequence,
    ast.Dict: _dict,
    ast.Lambda: _lambda,
    ast.IfExp: _if_exp,
    ast.BoolOp: _bool_op,
    ast.UnaryOp: _unary,
    ast.BinOp: _binary,
    ast.Compare: _compare,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _dict_comprehension,
    ast.NamedExpr: _named,
    ast.Await: _inner,
    ast.YieldFrom: _inner,
    ast.Starred: _inner,
    ast.Yield: _yield,
    ast.Call: _call,
}
