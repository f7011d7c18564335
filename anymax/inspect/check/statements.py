"""What each kind of statement does to the names in sight, and whether what follows it is reached."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anymax.inspect.check import apply
from anymax.inspect.check.frames import Frame, Scope
from anymax.inspect.check.values import (
    Class,
    Const,
    Function,
    Imported,
    Instance,
    Layer,
    Seq,
    Unknown,
    Value,
)

if TYPE_CHECKING:
    from anymax.inspect.check.interpret import Interpreter
    from anymax.inspect.check.project import Module


def _expr(interpreter: Interpreter, node: ast.Expr, frame: Frame) -> None:
    interpreter.eval(node.value, frame)


def _assign(interpreter: Interpreter, node: ast.Assign, frame: Frame) -> None:
    value = interpreter.eval(node.value, frame)
    for target in node.targets:
        if not interpreter.assuming:
            _remember(interpreter, target, value, node.value, frame.module)
        interpreter.assign(target, value, frame)


def _remember(interpreter: Interpreter, target: ast.expr, value: Value, node: ast.expr, module: Module) -> None:
    """Keep what a variable of the module holds, where a call gave it."""
    if isinstance(target, ast.Tuple) and isinstance(value, Seq) and len(target.elts) == len(value.items):
        nodes = node.elts if isinstance(node, ast.Tuple) else [node] * len(target.elts)
        if len(nodes) == len(target.elts):
            for one, part, written in zip(target.elts, value.items, nodes, strict=True):
                _remember(interpreter, one, part, written, module)
    elif (
        isinstance(value, Instance | Layer)
        and isinstance(node, ast.Call)
        and isinstance(target, ast.Name | ast.Attribute)
    ):
        name = target.id if isinstance(target, ast.Name) else target.attr
        held = interpreter.named.setdefault(module.path, {}).setdefault(name, [])
        if not any(one is value for one in held):
            held.append(value)


def _ann_assign(interpreter: Interpreter, node: ast.AnnAssign, frame: Frame) -> None:
    if node.value is not None:
        interpreter.assign(node.target, interpreter.eval(node.value, frame), frame)


def _aug_assign(interpreter: Interpreter, node: ast.AugAssign, frame: Frame) -> None:
    as_read = ast.copy_location(ast.BinOp(left=node.target, op=node.op, right=node.value), node)
    interpreter.assign(node.target, interpreter.eval(as_read, frame), frame)


def _if(interpreter: Interpreter, node: ast.If, frame: Frame) -> bool:
    truth = interpreter.truth(interpreter.eval(node.test, frame), node.test)
    if truth is not None:
        interpreter.assume(node.test, truth, frame)
        return interpreter.block(node.body if truth else node.orelse, frame)

    def way(holds: bool) -> Callable[[], bool]:
        def go() -> bool:
            interpreter.assume(node.test, holds, frame)
            return interpreter.block(node.body if holds else node.orelse, frame)

        return go

    return interpreter.branches([way(True), way(False)])


def _for(interpreter: Interpreter, node: ast.For | ast.AsyncFor, frame: Frame) -> None:
    source = interpreter.eval(node.iter, frame)
    mark = len(interpreter.trail)
    for item in interpreter.items_of(source, node.iter):
        interpreter.assign(node.target, item, frame)
        interpreter.block(node.body, frame)
    if not apply.is_exact(source):
        _grew_by_an_unknown_number(interpreter, mark)
    interpreter.block(node.orelse, frame)


def _grew_by_an_unknown_number(interpreter: Interpreter, mark: int) -> None:
    """Lists that became longer since in a loop that was gone through once."""
    before: dict[tuple[int, Any], Value | Any] = {}
    changes = interpreter.trail[mark:]
    for table, key, old in changes:
        before.setdefault((id(table), key), old)
    for table, key, _ in changes:
        old, new = before[id(table), key], table.get(key)
        if isinstance(old, Seq) and isinstance(new, Seq) and new.exact and len(new.items) > len(old.items):
            interpreter.put(table, key, Seq(new.items, exact=False))


def _while(interpreter: Interpreter, node: ast.While, frame: Frame) -> None:
    interpreter.eval(node.test, frame)
    interpreter.block(node.body, frame)


def _with(interpreter: Interpreter, node: ast.With | ast.AsyncWith, frame: Frame) -> bool:
    for item in node.items:
        value = interpreter.eval(item.context_expr, frame)
        if item.optional_vars is not None:
            interpreter.assign(item.optional_vars, value if isinstance(value, Instance) else Unknown(), frame)
    return interpreter.block(node.body, frame)


def _try(interpreter: Interpreter, node: ast.Try, frame: Frame) -> bool:
    goes_on = interpreter.block(node.body, frame) and interpreter.block(node.orelse, frame)
    mark = len(interpreter.trail)
    for handler in node.handlers:
        if handler.name:
            interpreter.put(frame.scope.names, handler.name, Unknown())
        interpreter.block(handler.body, frame)
        interpreter.undo(mark)
    return interpreter.block(node.finalbody, frame) and (goes_on or bool(node.handlers))


def _match(interpreter: Interpreter, node: ast.Match, frame: Frame) -> bool:
    interpreter.eval(node.subject, frame)

    def way(case: ast.match_case) -> Callable[[], bool]:
        def go() -> bool:
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
                    interpreter.put(frame.scope.names, part.name, Unknown())
            return interpreter.block(case.body, frame)

        return go

    return interpreter.branches([*(way(case) for case in node.cases), lambda: True])


def _return(interpreter: Interpreter, node: ast.Return, frame: Frame) -> bool:
    frame.returned.append(interpreter.eval(node.value, frame) if node.value else Const(None))
    return False


def _leave(interpreter: Interpreter, node: ast.stmt, frame: Frame) -> bool:
    if isinstance(node, ast.Raise) and node.exc is not None:
        interpreter.eval(node.exc, frame)
    return False


def _global(interpreter: Interpreter, node: ast.Global, frame: Frame) -> None:
    if frame.module.scope is not None:
        frame.scope.elsewhere.update(dict.fromkeys(node.names, frame.module.scope))


def _nonlocal(interpreter: Interpreter, node: ast.Nonlocal, frame: Frame) -> None:
    for name in node.names:
        scope = frame.scope.parent
        while scope is not None and name not in scope.names:
            scope = scope.parent
        if scope is not None:
            frame.scope.elsewhere[name] = scope


def _import_statement(interpreter: Interpreter, node: ast.Import, frame: Frame) -> None:
    for alias in node.names:
        first = alias.name.partition(".")[0]
        module = alias.name if alias.asname else first
        interpreter.put(frame.scope.names, alias.asname or first, Imported(module, None, 0, frame.module))


def _import_from(interpreter: Interpreter, node: ast.ImportFrom, frame: Frame) -> None:
    for alias in node.names:
        if alias.name != "*":
            wanted = Imported(node.module or "", alias.name, node.level, frame.module)
            interpreter.put(frame.scope.names, alias.asname or alias.name, wanted)
        elif module := interpreter.project.imported(node.module or "", frame.module, node.level):
            for name, value in interpreter.load(module).names.items():
                if not name.startswith("_"):
                    interpreter.put(frame.scope.names, name, value)
            frame.module.stars.extend(module.stars)
        else:
            frame.module.stars.append(node.module or "")


def _function_def(interpreter: Interpreter, node: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> None:
    _define(interpreter, Function(node, frame.scope, kind=_kind(node)), frame)


def _class_def(interpreter: Interpreter, node: ast.ClassDef, frame: Frame) -> None:
    bases = tuple(interpreter.eval(base, frame) for base in node.bases)
    cls = Class(node, frame.module, bases)
    inner = Scope(frame.module, frame.scope)
    interpreter.block(node.body, Frame(inner))
    for name, value in inner.names.items():
        if isinstance(value, Function) and value.scope is inner:
            # a method sees the names around the class, not those in it
            value = Function(value.node, frame.scope, cls, None, value.kind)
        cls.members[name] = value
    _define(interpreter, cls, frame)


def _define(interpreter: Interpreter, value: Function | Class, frame: Frame) -> None:
    names, module = frame.scope.names, frame.module
    if frame.scope is module.scope:
        before = names.get(value.name)
        if isinstance(before, Function | Class) and before in module.names_at:
            # it meant what its names meant when it was written; others, which came later, what they mean now
            module.replaced.append((before, {**names, **module.names_at[before], value.name: before}))
        module.names_at[value] = dict(names)
    interpreter.put(names, value.name, value)


def _kind(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    for decorator in node.decorator_list:
        name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
        if name in ("staticmethod", "classmethod", "property", "cached_property"):
            return {"staticmethod": "static", "classmethod": "class"}.get(name, "property")
    return "function"


STATEMENTS: dict[type[ast.stmt], Callable[[Interpreter, Any, Frame], bool | None]] = {
    ast.Expr: _expr,
    ast.Assign: _assign,
    ast.AnnAssign: _ann_assign,
    ast.AugAssign: _aug_assign,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.Match: _match,
    ast.Return: _return,
    ast.Raise: _leave,
    ast.Break: _leave,
    ast.Continue: _leave,
    ast.Global: _global,
    ast.Nonlocal: _nonlocal,
    ast.Import: _import_statement,
    ast.ImportFrom: _import_from,
    ast.FunctionDef: _function_def,
    ast.AsyncFunctionDef: _function_def,
    ast.ClassDef: _class_def,
}
