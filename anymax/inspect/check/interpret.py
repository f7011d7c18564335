"""The interpreter: it goes through a file as Python would, with abstract values, and runs nothing of it.

Every function is entered once with arguments that are not known and again from each call that is read, so a finding may
rest on two places that are far apart. What is not modelled is `Unknown`, of which nothing is said.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from anymax.inspect.check import apply, layers
from anymax.inspect.check.observed import Observation
from anymax.inspect.check.project import CUSTOMARY, Module, Project
from anymax.inspect.check.values import (
    BoundMethod,
    Class,
    Const,
    Either,
    External,
    Function,
    Imported,
    Instance,
    Layer,
    Many,
    ModuleValue,
    Partial,
    Place,
    Seq,
    Sizes,
    Super,
    Table,
    Tensor,
    Unknown,
    Value,
    batch,
    join,
    options,
)

DEEPEST_CALL = 7
DEEPEST_IMPORT = 12
MOST_STEPS_OF_AN_ENTRY = 8_000
MOST_STEPS_OF_A_MODULE = 40_000
LONGEST_LOOP = 16

ALWAYS_TRUE = (Function, Class, Instance, Layer, Partial)

MISSING = object()
A_LOSS = "*loss"  # the losses of a module, whatever their names

BUILTINS = frozenset(
    [
        "abs",
        "all",
        "any",
        "bool",
        "bytes",
        "callable",
        "dict",
        "dir",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "getattr",
        "hasattr",
        "hash",
        "id",
        "input",
        "int",
        "isinstance",
        "issubclass",
        "iter",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "object",
        "open",
        "pow",
        "print",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "setattr",
        "slice",
        "sorted",
        "str",
        "sum",
        "super",
        "tuple",
        "type",
        "vars",
        "zip",
    ]
)


# The names of a function's arguments, those that a keyword alone gives, and the defaults of both
Signature = tuple[list[str], list[str], dict[str, ast.expr]]


class OutOfWork(Exception):
    """An entry took more steps than it may."""


@dataclass(eq=False)
class Scope:
    """The names of a module, class or function."""

    module: Module
    parent: Scope | None = None
    names: dict[str, Value] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)  # by `global` and `nonlocal`


@dataclass(eq=False)
class Frame:
    """A function that is being gone through, or the body of a module or class."""

    scope: Scope
    owner: Class | None = None
    self: Value | None = None
    returned: list[Value] = field(default_factory=list)

    @property
    def module(self) -> Module:
        return self.scope.module


class Interpreter:
    def __init__(self, project: Project, see: Callable[[Observation], None]) -> None:
        self.project = project
        self.see = see
        self.steps = 0
        self.taken = 0  # by the entries into a file
        self.assuming: str | None = None  # what an entry takes its arguments to be, for a sentence
        # what variables of a module hold somewhere, and objects that the code makes, by the module that does
        self.named: dict[str, dict[str, list[Value]]] = {}
        self.made_in: dict[str, list[Instance]] = {}
        self.made: list[Instance] = []  # since a file was begun, in any file
        self.certain = True  # False while one of several possible callees is gone through
        self._trail: list[tuple[dict[Any, Value], Any, Any]] = []
        self.born: list[dict[str, Value]] = []  # the attributes of objects that were made since an entry began
        self._stack: list[ast.AST] = []
        self._gone_through: set[ast.AST] = set()  # functions, since an entry began
        self._loading = 0
        self._generators: dict[ast.AST, bool] = {}
        self._signatures: dict[ast.arguments, Signature] = {}
        # objects and results that were made of nothing that is known, and are made again all the time
        self._objects: dict[tuple[Any, ...], Instance] = {}
        self._results: dict[tuple[Any, ...], Value] = {}

    # -- entries ---------------------------------------------------------------------------------------------------

    def load(self, module: Module) -> Scope:
        """The names of a module, after its body was gone through once."""
        if module.scope is None:
            if self._loading >= DEEPEST_IMPORT:
                return Scope(module)
            module.scope = Scope(module)
            self._loading += 1
            kept, self.steps = self.steps, MOST_STEPS_OF_A_MODULE
            stack, self._stack = self._stack, []
            trail, self._trail = self._trail, []
            try:
                self._block(module.tree.body, Frame(module.scope))
            except OutOfWork:
                pass
            finally:
                self.steps, self._stack, self._trail = kept, stack, trail
                self._loading -= 1
        return module.scope

    @contextmanager
    def as_of(self, scope: Scope, names: dict[str, Value]) -> Iterator[None]:
        """With the names of a module as they were earlier, and no result that came of later ones."""
        kept = scope.names, self._results, self._objects
        scope.names, self._results, self._objects = names, {}, {}
        try:
            yield
        finally:
            scope.names, self._results, self._objects = kept

    def enter(self, function: Function, instance: Value | None = None, given: dict[str, Value] | None = None) -> None:
        """Go through a function of whose arguments no more than `given` is known, and forget what it changed."""
        self.steps, self._stack, self.certain = MOST_STEPS_OF_AN_ENTRY, [], True
        kept, self._trail = self._trail, []
        self.born, self._gone_through = [], set()
        bound = function if instance is None else self._bind(function, instance)
        try:
            self.call_function(bound, [], given or {}, entry=True)
        except OutOfWork:
            pass
        finally:
            self.taken += MOST_STEPS_OF_AN_ENTRY - self.steps
            # nobody knew its objects before: under the names that hold them they stay what they have become
            for table in self.born:
                self._forget(0, table)
            self._undo(0)
            self._trail = kept

    def example_of(self, cls: Class, given: dict[str, Value] | None = None) -> Value:
        """An object of a class, made with arguments of which no more than `given` is known."""
        self.steps, self._stack, self.certain = MOST_STEPS_OF_AN_ENTRY, [], True
        try:
            return self._instantiate(cls, [], given or {}, None, entry=True)
        except OutOfWork:
            return Instance(cls)
        finally:
            self.taken += MOST_STEPS_OF_AN_ENTRY - self.steps

    def result_of(self, function: Function) -> Value:
        """What a function gives for arguments that are not known."""
        self.steps, self._stack, self.certain = MOST_STEPS_OF_AN_ENTRY, [], True
        try:
            return self.call_function(function, [], {}, entry=True)
        except OutOfWork:
            return Unknown()

    # -- names, attributes and their changes ------------------------------------------------------------------------

    def put(self, table: dict[Any, Value], key: Any, value: Value) -> None:
        self._trail.append((table, key, table.get(key, MISSING)))
        table[key] = value

    def _undo(self, mark: int) -> None:
        while len(self._trail) > mark:
            table, key, old = self._trail.pop()
            if old is MISSING:
                table.pop(key, None)
            else:
                table[key] = old

    def branches(self, ways: Iterable[Callable[[], bool]]) -> bool:
        """Go each way from the same state, and go on with whatever each left; False where none goes on."""
        mark = len(self._trail)
        ends: list[dict[tuple[int, Any], tuple[dict[Any, Value], Any, Any]]] = []
        for way in ways:
            goes_on = way()
            changed = {(id(table), key): (table, key, table.get(key, MISSING)) for table, key, _ in self._trail[mark:]}
            self._undo(mark)
            if goes_on:
                ends.append(changed)
        for place in {place: None for end in ends for place in end}:
            table, key, _ = next(end[place] for end in ends if place in end)
            values = [end[place][2] if place in end else table.get(key, MISSING) for end in ends]
            self.put(table, key, join([value for value in values if isinstance(value, Value)] or [Unknown()]))
        return bool(ends)

    def lookup(self, name: str, scope: Scope) -> Value:
        if name in scope.elsewhere:
            scope = scope.elsewhere[name]
        one: Scope | None = scope
        while one is not None:
            if name in one.names:
                return self._resolved(one.names, name)
            one = one.parent
        if name in BUILTINS:
            return External(f"builtins.{name}")
        if found := _of_a_star(scope.module, name):
            return found
        if name in CUSTOMARY:
            return External(CUSTOMARY[name])
        return scope.module.unbound.setdefault(name, Unknown())

    def _resolved(self, table: dict[str, Value], name: str) -> Value:
        value = table[name]
        if isinstance(value, Imported):
            table[name] = Unknown()  # what modules that import each other find meanwhile
            value = self._import(value)
            table[name] = value  # not on the trail: an import means the same on every path
        return value

    def _import(self, wanted: Imported) -> Value:
        inside = ".".join(part for part in (wanted.module, wanted.name) if part)
        if wanted.name is None:
            module = self.project.imported(wanted.module, wanted.importer, wanted.level)
            return ModuleValue(module) if module else External(wanted.module)
        if not wanted.module and (module := self.project.imported(wanted.name, wanted.importer, wanted.level)):
            return ModuleValue(module)
        if module := self.project.imported(wanted.module, wanted.importer, wanted.level):
            return self._of_module(module, wanted.name)
        if module := self.project.imported(inside, wanted.importer, wanted.level):
            return ModuleValue(module)
        return apply.external("." * wanted.level + inside)

    def _of_module(self, module: Module, name: str) -> Value:
        scope = self.load(module)
        if name in scope.names:
            return self._resolved(scope.names, name)
        if module.is_package and (inner := self.project.imported(name, module, level=1)):
            return ModuleValue(inner)
        return _of_a_star(module, name) or Unknown()

    # -- statements ------------------------------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt], frame: Frame) -> bool:
        """Whether what follows the block is reached."""
        for statement in body:
            handler = STATEMENTS.get(type(statement))
            if handler is not None and handler(self, statement, frame) is False:
                return False
        return True

    def _expr(self, node: ast.Expr, frame: Frame) -> None:
        self.eval(node.value, frame)

    def _assign(self, node: ast.Assign, frame: Frame) -> None:
        value = self.eval(node.value, frame)
        for target in node.targets:
            if not self.assuming:
                self._remember(target, value, node.value, frame.module)
            self.assign(target, value, frame)

    def _remember(self, target: ast.expr, value: Value, node: ast.expr, module: Module) -> None:
        """Keep what a variable of the module holds, where a call gave it."""
        if isinstance(target, ast.Tuple) and isinstance(value, Seq) and len(target.elts) == len(value.items):
            nodes = node.elts if isinstance(node, ast.Tuple) else [node] * len(target.elts)
            if len(nodes) == len(target.elts):
                for one, part, written in zip(target.elts, value.items, nodes, strict=True):
                    self._remember(one, part, written, module)
        elif (
            isinstance(value, Instance | Layer)
            and isinstance(node, ast.Call)
            and isinstance(target, ast.Name | ast.Attribute)
        ):
            name = target.id if isinstance(target, ast.Name) else target.attr
            held = self.named.setdefault(module.path, {}).setdefault(name, [])
            if not any(one is value for one in held):
                held.append(value)

    def _ann_assign(self, node: ast.AnnAssign, frame: Frame) -> None:
        if node.value is not None:
            self.assign(node.target, self.eval(node.value, frame), frame)

    def _aug_assign(self, node: ast.AugAssign, frame: Frame) -> None:
        as_read = ast.copy_location(ast.BinOp(left=node.target, op=node.op, right=node.value), node)
        self.assign(node.target, self.eval(as_read, frame), frame)

    def assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        if isinstance(target, ast.Name):
            scope = frame.scope.elsewhere.get(target.id, frame.scope)
            self.put(scope.names, target.id, value)
        elif isinstance(target, ast.Attribute):
            owner = self.eval(target.value, frame)
            if isinstance(owner, Instance | Layer):
                self.put(owner.attrs, target.attr, value)
            elif isinstance(owner, Table) and owner.is_record:
                self.put(owner.items, target.attr, value)
            elif isinstance(owner, Class):
                self.put(owner.members, target.attr, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target, value, frame)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, Unknown(), frame)
        elif isinstance(target, ast.Subscript):
            self._assign_item(target, value, frame)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, frame: Frame) -> None:
        starred = any(isinstance(one, ast.Starred) for one in target.elts)
        if isinstance(value, Sizes) and not starred:
            names = [one.id if isinstance(one, ast.Name) else None for one in target.elts]
            value = apply.unpacked_sizes(self, value, names, frame)
        for number, one in enumerate(target.elts):
            self.assign(one, Unknown() if starred else self.item(value, number, len(target.elts)), frame)

    def item(self, value: Value, number: int, count: int | None = None) -> Value:
        """The item of `value` at a place that is known, as unpacking and `value[number]` give it."""
        if isinstance(value, Either):
            return join([self.item(one, number, count) for one in value.options])
        if isinstance(value, Seq):
            return value.items[number] if -len(value.items) <= number < len(value.items) else Unknown()
        if isinstance(value, Many):
            return value.item
        if isinstance(value, Unknown):
            return value.member(number)
        if isinstance(value, Tensor):
            return apply.item_of(value)
        if isinstance(value, Instance | Table):
            values = apply.values_of_a_record(value)
            return values[number] if -len(values) <= number < len(values) else Unknown()
        return Unknown()

    def field_of(self, owner: Instance, key: Value | None) -> Value:
        """The item of a record, by its place or name; `Unknown` of another object."""
        name = key.value if isinstance(key, Const) else None
        if type(name) is int:
            return self.item(owner, name)
        return self._of_instance(owner, name) if name in owner.cls.fields else Unknown()

    def _assign_item(self, target: ast.Subscript, value: Value, frame: Frame) -> None:
        owner = self.eval(target.value, frame)
        key = self.eval(target.slice, frame)
        if isinstance(owner, Table) and isinstance(key, Const):
            self.put(owner.items, key.value, value)
        elif isinstance(owner, Layer) and isinstance(key, Const) and isinstance(key.value, int | str):
            self.put(owner.attrs, str(key.value), value)
        elif isinstance(owner, Instance) and isinstance(key, Const) and key.value in owner.cls.fields:
            self.put(owner.attrs, key.value, value)
        elif isinstance(owner, Table | Seq):
            self.assign(target.value, Unknown(), frame)
        elif isinstance(owner, Tensor | Unknown) and (isinstance(owner, Tensor) or apply.is_mask(target.slice)):
            written = apply.written_into(owner, target.slice, value, self.place(target, frame))
            self.assign_over(target.value, written, frame)

    def assign_over(self, node: ast.expr, value: Value, frame: Frame) -> None:
        """What was learnt of a value, or done to it in place, under the name that it goes by."""
        if isinstance(node, ast.Name):
            scope: Scope | None = frame.scope.elsewhere.get(node.id, frame.scope)
            while scope is not None and node.id not in scope.names:
                scope = scope.parent
            if scope is frame.scope:
                self.put(frame.scope.names, node.id, value)
        elif isinstance(node, ast.Attribute):
            self.assign(node, value, frame)

    def _if(self, node: ast.If, frame: Frame) -> bool:
        truth = self.truth(self.eval(node.test, frame), node.test)
        if truth is not None:
            self._assume(node.test, truth, frame)
            return self._block(node.body if truth else node.orelse, frame)

        def way(holds: bool) -> Callable[[], bool]:
            def go() -> bool:
                self._assume(node.test, holds, frame)
                return self._block(node.body if holds else node.orelse, frame)

            return go

        return self.branches([way(True), way(False)])

    def truth(self, value: Value, test: ast.expr | None = None) -> bool | None:
        if _is_main_guard(test):
            return True
        if isinstance(value, Const):
            return bool(value.value)
        if isinstance(value, External) and value.name == "typing.TYPE_CHECKING":
            return False  # imports for types alone, which may be those of a whole package
        if isinstance(value, (Seq, Table)):
            return bool(value.items)
        return True if isinstance(value, ALWAYS_TRUE) else None

    def _assume(self, test: ast.expr, holds: bool, frame: Frame) -> None:
        """What a test says about the rank of a tensor, `x.dim() == 3`, and about which of several things a name is."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._assume(test.operand, not holds, frame)
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And if holds else ast.Or):
            for one in test.values:
                self._assume(one, holds, frame)
        if (asked := apply.thing_of_which(test)) is not None:
            self._keep_those(asked, test, holds, frame)
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return None
        equal = isinstance(test.ops[0], ast.Eq) if holds else isinstance(test.ops[0], ast.NotEq)
        node = apply.tensor_whose_rank(test.left)
        rank = test.comparators[0]
        if equal and isinstance(node, ast.Name) and isinstance(rank, ast.Constant) and type(rank.value) is int:
            tensor = apply.as_tensor(self.eval(node, frame))
            if tensor is not None and tensor.shape.open:
                self.assign_over(node, tensor.with_shape(tensor.shape.with_rank(rank.value)), frame)
        return None

    def _keep_those(self, name: ast.Name, test: ast.expr, holds: bool, frame: Frame) -> None:
        """Of what a name may be, those for which the test can come out like this."""
        value = self.eval(name, frame)
        if not isinstance(value, Either) or name.id not in frame.scope.names:
            return
        mark, kept = len(self._trail), list[Value]()
        for one in value.options:
            self.put(frame.scope.names, name.id, one)
            if self.truth(self.eval(test, frame)) is not (not holds):
                kept.append(one)
        self._undo(mark)
        if 0 < len(kept) < len(value.options):
            self.put(frame.scope.names, name.id, join(kept))

    def _for(self, node: ast.For | ast.AsyncFor, frame: Frame) -> None:
        source = self.eval(node.iter, frame)
        mark = len(self._trail)
        for item in self.items_of(source, node.iter):
            self.assign(node.target, item, frame)
            self._block(node.body, frame)
        if not _is_exact(source):
            self._grew_by_an_unknown_number(mark)
        self._block(node.orelse, frame)

    def _grew_by_an_unknown_number(self, mark: int) -> None:
        """Lists that became longer since in a loop that was gone through once."""
        before: dict[tuple[int, Any], Value | Any] = {}
        changes = self._trail[mark:]
        for table, key, old in changes:
            before.setdefault((id(table), key), old)
        for table, key, _ in changes:
            old, new = before[id(table), key], table.get(key)
            if isinstance(old, Seq) and isinstance(new, Seq) and new.exact and len(new.items) > len(old.items):
                self.put(table, key, Seq(new.items, exact=False))

    def items_of(self, value: Value, node: ast.expr | None = None) -> list[Value]:
        """What a loop over `value` sees; one item that stands for all where they are not known."""
        if isinstance(value, Seq) and len(value.items) <= LONGEST_LOOP:
            return list(value.items)
        if isinstance(value, Table) and len(value.items) <= LONGEST_LOOP:
            return list(value.items.values()) if value.is_record else [Const(key) for key in value.items]
        if isinstance(value, Many):
            return [value.item]
        if isinstance(value, Layer):
            return layers.items_of(value)
        if isinstance(value, Tensor):
            return [apply.item_of(value)]
        if node is not None and apply.reads_batches(node):
            return [batch()]
        return [Unknown()]

    def _while(self, node: ast.While, frame: Frame) -> None:
        self.eval(node.test, frame)
        self._block(node.body, frame)

    def _with(self, node: ast.With | ast.AsyncWith, frame: Frame) -> bool:
        for item in node.items:
            value = self.eval(item.context_expr, frame)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value if isinstance(value, Instance) else Unknown(), frame)
        return self._block(node.body, frame)

    def _try(self, node: ast.Try, frame: Frame) -> bool:
        goes_on = self._block(node.body, frame) and self._block(node.orelse, frame)
        mark = len(self._trail)
        for handler in node.handlers:
            if handler.name:
                self.put(frame.scope.names, handler.name, Unknown())
            self._block(handler.body, frame)
            self._undo(mark)
        return self._block(node.finalbody, frame) and (goes_on or bool(node.handlers))

    def _match(self, node: ast.Match, frame: Frame) -> bool:
        self.eval(node.subject, frame)

        def way(case: ast.match_case) -> Callable[[], bool]:
            def go() -> bool:
                for part in ast.walk(case.pattern):
                    if isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
                        self.put(frame.scope.names, part.name, Unknown())
                return self._block(case.body, frame)

            return go

        return self.branches([*(way(case) for case in node.cases), lambda: True])

    def _return(self, node: ast.Return, frame: Frame) -> bool:
        frame.returned.append(self.eval(node.value, frame) if node.value else Const(None))
        return False

    def _leave(self, node: ast.stmt, frame: Frame) -> bool:
        if isinstance(node, ast.Raise) and node.exc is not None:
            self.eval(node.exc, frame)
        return False

    def _global(self, node: ast.Global, frame: Frame) -> None:
        if frame.module.scope is not None:
            frame.scope.elsewhere.update(dict.fromkeys(node.names, frame.module.scope))

    def _nonlocal(self, node: ast.Nonlocal, frame: Frame) -> None:
        for name in node.names:
            scope = frame.scope.parent
            while scope is not None and name not in scope.names:
                scope = scope.parent
            if scope is not None:
                frame.scope.elsewhere[name] = scope

    def _import_statement(self, node: ast.Import, frame: Frame) -> None:
        for alias in node.names:
            first = alias.name.partition(".")[0]
            module = alias.name if alias.asname else first
            self.put(frame.scope.names, alias.asname or first, Imported(module, None, 0, frame.module))

    def _import_from(self, node: ast.ImportFrom, frame: Frame) -> None:
        for alias in node.names:
            if alias.name != "*":
                wanted = Imported(node.module or "", alias.name, node.level, frame.module)
                self.put(frame.scope.names, alias.asname or alias.name, wanted)
            elif module := self.project.imported(node.module or "", frame.module, node.level):
                for name, value in self.load(module).names.items():
                    if not name.startswith("_"):
                        self.put(frame.scope.names, name, value)
                frame.module.stars.extend(module.stars)
            else:
                frame.module.stars.append(node.module or "")

    def _function_def(self, node: ast.FunctionDef | ast.AsyncFunctionDef, frame: Frame) -> None:
        self._define(Function(node, frame.scope, kind=_kind(node)), frame)

    def _class_def(self, node: ast.ClassDef, frame: Frame) -> None:
        bases = tuple(self.eval(base, frame) for base in node.bases)
        cls = Class(node, frame.module, bases)
        inner = Scope(frame.module, frame.scope)
        self._block(node.body, Frame(inner))
        for name, value in inner.names.items():
            if isinstance(value, Function) and value.scope is inner:
                # a method sees the names around the class, not those in it
                value = Function(value.node, frame.scope, cls, None, value.kind)
            cls.members[name] = value
        self._define(cls, frame)

    def _define(self, value: Function | Class, frame: Frame) -> None:
        names, module = frame.scope.names, frame.module
        if frame.scope is module.scope:
            before = names.get(value.name)
            if isinstance(before, Function | Class) and before in module.names_at:
                # it meant what its names meant when it was written; others, which came later, what they mean now
                module.replaced.append((before, {**names, **module.names_at[before], value.name: before}))
            module.names_at[value] = dict(names)
        self.put(names, value.name, value)

    # -- expressions -----------------------------------------------------------------------------------------------

    def eval(self, node: ast.expr, frame: Frame) -> Value:
        self.steps -= 1
        if self.steps < 0:
            raise OutOfWork
        handler = EXPRESSIONS.get(type(node))
        return Unknown() if handler is None else handler(self, node, frame)

    def place(self, node: ast.AST, frame: Frame) -> Place:
        return Place(frame.module, node, self.assuming)

    def _constant(self, node: ast.Constant, frame: Frame) -> Value:
        return Const(node.value)

    def _name(self, node: ast.Name, frame: Frame) -> Value:
        return self.lookup(node.id, frame.scope)

    def _sequence(self, node: ast.Tuple | ast.List, frame: Frame) -> Value:
        items: list[Value] = []
        for one in node.elts:
            if not isinstance(one, ast.Starred):
                items.append(self.eval(one, frame))
                continue
            spread = apply.spread(self.eval(one.value, frame))
            if not isinstance(spread, Seq):
                return Unknown()
            items.extend(spread.items)
        return Seq(tuple(items))

    def _dict(self, node: ast.Dict, frame: Frame) -> Value:
        items: dict[Any, Value] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            worth = self.eval(value, frame)
            if key is None:
                if not isinstance(worth, Table):
                    return Unknown()
                items.update(worth.items)
                continue
            name = self.eval(key, frame)
            if not isinstance(name, Const):
                return Unknown()
            items[name.value] = worth
        return Table(items)

    def _lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        return Function(node, frame.scope)

    def _if_exp(self, node: ast.IfExp, frame: Frame) -> Value:
        truth = self.truth(self.eval(node.test, frame), node.test)
        if truth is not None:
            return self.eval(node.body if truth else node.orelse, frame)
        found: list[Value] = []

        def way(holds: bool) -> Callable[[], bool]:
            def go() -> bool:
                self._assume(node.test, holds, frame)
                found.append(self.eval(node.body if holds else node.orelse, frame))
                return True

            return go

        self.branches([way(True), way(False)])
        return join(found)

    def _bool_op(self, node: ast.BoolOp, frame: Frame) -> Value:
        ends_on = isinstance(node.op, ast.Or)
        found: list[Value] = []
        for one in node.values:
            value = self.eval(one, frame)
            truth = self.truth(value)
            if truth is ends_on or one is node.values[-1]:
                found.append(value)
                break
            if truth is None:
                found.append(value)
        return join(found)

    def _unary(self, node: ast.UnaryOp, frame: Frame) -> Value:
        value = self.eval(node.operand, frame)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return Unknown() if truth is None else Const(not truth)
        return apply.unary(self, node, value, frame)

    def _binary(self, node: ast.BinOp, frame: Frame) -> Value:
        return apply.binary(self, node, self.eval(node.left, frame), self.eval(node.right, frame), frame)

    def _compare(self, node: ast.Compare, frame: Frame) -> Value:
        left = self.eval(node.left, frame)
        rights = [self.eval(one, frame) for one in node.comparators]
        return apply.compare(self, node, left, rights, frame)

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        return self.attribute(self.eval(node.value, frame), node.attr, node.value, frame)

    def attribute(self, owner: Value, name: str, node: ast.expr | None, frame: Frame) -> Value:
        # the commonest kinds first
        if isinstance(owner, Instance):
            return self._of_instance(owner, name)
        if isinstance(owner, External):
            return apply.external(f"{owner.name}.{name}")
        if isinstance(owner, Unknown):
            return apply.attribute(owner, name, node) if apply.is_method(name) else owner.member(name)
        if isinstance(owner, Either):
            return join([self.attribute(one, name, node, frame) for one in owner.options])
        if isinstance(owner, Class):
            member = owner.member(name)
            if isinstance(member, Function) and member.kind == "class":
                return Function(member.node, member.scope, member.owner, owner, "class")
            return member or Unknown()
        if isinstance(owner, Super):
            return self._of_super(owner, name)
        if isinstance(owner, ModuleValue):
            return self._of_module(owner.module, name)
        if isinstance(owner, Layer) and name in owner.attrs:
            return owner.attrs[name]
        if isinstance(owner, Table) and owner.is_record and name in owner.items:
            return owner.items[name]
        if isinstance(owner, Layer):
            return layers.attribute(owner, name) or BoundMethod(owner, name, node)
        return apply.attribute(owner, name, node)

    def _of_instance(self, owner: Instance, name: str) -> Value:
        if name in owner.attrs:
            return owner.attrs[name]
        member = owner.cls.member(name)
        if isinstance(member, Function):
            bound = self._bind(member, owner)
            return self.call_function(bound, [], {}) if member.kind == "property" else bound
        if member is not None:
            return member
        if layers.is_module_method(name) and owner.cls.foreign_bases():
            return BoundMethod(owner, name)
        # the same unknown each time, so that what is learnt of it stays
        return owner.attrs.setdefault(name, Unknown())

    def _of_super(self, owner: Super, name: str) -> Value:
        for one in list(owner.cls.ancestry())[1:]:
            if name in one.members:
                member = one.members[name]
                return self._bind(member, owner.instance) if isinstance(member, Function) else member
        return Unknown()

    def _bind(self, function: Function, instance: Value) -> Function:
        if function.kind == "static" or function.owner is None:
            return function
        bound = instance.cls if function.kind == "class" and isinstance(instance, Instance) else instance
        return Function(function.node, function.scope, function.owner, bound, function.kind)

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        owner = self.eval(node.value, frame)
        return apply.subscript(self, owner, node, frame)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, frame: Frame) -> Value:
        inner = Frame(Scope(frame.module, frame.scope), frame.owner, frame.self)
        found: list[Value] = []
        exact = self._rounds(node.generators, inner, lambda: found.append(self.eval(node.elt, inner)))
        return Seq(tuple(found)) if exact else Many(join(found) if found else Unknown())

    def _dict_comprehension(self, node: ast.DictComp, frame: Frame) -> Value:
        inner = Frame(Scope(frame.module, frame.scope), frame.owner, frame.self)
        found: list[tuple[Value, Value]] = []

        def add() -> None:
            found.append((self.eval(node.key, inner), self.eval(node.value, inner)))

        exact = self._rounds(node.generators, inner, add)
        items = {key.value: value for key, value in found if isinstance(key, Const)}
        return Table(items) if exact and len(items) == len(found) else Unknown()

    def _rounds(self, generators: list[ast.comprehension], frame: Frame, body: Callable[[], object]) -> bool:
        """Run a comprehension's body for each item; whether each item was known."""
        if not generators:
            body()
            return True
        first, *rest = generators
        source = self.eval(first.iter, frame)
        exact = _is_exact(source) and not first.ifs
        for item in self.items_of(source, first.iter):
            self.assign(first.target, item, frame)
            for test in first.ifs:
                self.eval(test, frame)
            exact = self._rounds(rest, frame, body) and exact
        return exact

    def _named(self, node: ast.NamedExpr, frame: Frame) -> Value:
        value = self.eval(node.value, frame)
        self.assign(node.target, value, frame)
        return value

    def _inner(self, node: ast.Await | ast.YieldFrom | ast.Starred, frame: Frame) -> Value:
        return self.eval(node.value, frame)

    def _yield(self, node: ast.Yield, frame: Frame) -> Value:
        if node.value is not None:
            self.eval(node.value, frame)
        return Unknown()

    # -- calls -----------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, frame: Frame) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and frame.owner and frame.self:
            return Super(frame.owner, frame.self)
        callee = self.eval(node.func, frame)
        args: list[Value] = []
        for one in node.args:
            if isinstance(one, ast.Starred):
                spread = apply.spread(self.eval(one.value, frame))
                if isinstance(spread, Seq):
                    args.extend(spread.items)
                else:
                    args.append(spread if isinstance(spread, Many) else Many(Unknown()))
            else:
                args.append(self.eval(one, frame))
        kwargs: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.eval(keyword.value, frame)
            if keyword.arg is not None:
                kwargs[keyword.arg] = value
            elif isinstance(value, Table):
                kwargs.update({key: worth for key, worth in value.items.items() if isinstance(key, str)})
            else:
                kwargs["**"] = value
        result = self.call(callee, args, kwargs, node, frame)
        if (
            isinstance(result, Layer)
            and result.name in layers.LOSSES
            and result.place.node is node
            and not self.assuming
        ):
            self.named.setdefault(frame.module.path, {}).setdefault(A_LOSS, []).append(result)
        return result

    def call(self, callee: Value, args: list[Value], kwargs: dict[str, Value], node: ast.Call, frame: Frame) -> Value:
        # the commonest kinds first
        if isinstance(callee, External):
            return apply.call(self, callee.name, args, kwargs, node, frame)
        if isinstance(callee, BoundMethod):
            return apply.call_method(self, callee, args, kwargs, node, frame)
        if isinstance(callee, Function):
            return self.call_function(callee, args, kwargs)
        if isinstance(callee, Class):
            return self._instantiate(callee, args, kwargs, node)
        if isinstance(callee, Instance):
            return self._call_instance(callee, args, kwargs)
        if isinstance(callee, Layer):
            return layers.call(self, callee, args, kwargs, node, frame)
        if isinstance(callee, Partial):
            return self.call(callee.callee, [*callee.args, *args], {**callee.kwargs, **kwargs}, node, frame)
        if isinstance(callee, Either):
            kept, self.certain = self.certain, False
            try:
                return join([self.call(one, args, kwargs, node, frame) for one in callee.options])
            finally:
                self.certain = kept
        return Unknown()

    def _call_instance(self, callee: Instance, args: list[Value], kwargs: dict[str, Value]) -> Value:
        name = "forward" if callee.cls.is_module else "__call__"
        member = callee.attrs.get(name) or callee.cls.member(name)
        if callee.cls.is_module and args:
            args = [apply.into_a_model(args[0]), *args[1:]]
        if isinstance(member, Function):
            return self.call_function(self._bind(member, callee), args, kwargs)
        return Unknown()

    def _instantiate(
        self, cls: Class, args: list[Value], kwargs: dict[str, Value], node: ast.Call | None, entry: bool = False
    ) -> Value:
        key = None if entry else _key(cls, args, kwargs)
        if key is not None and key in self._objects:
            return self._objects[key]
        instance = Instance(cls)
        self.born.append(instance.attrs)
        mark = len(self._trail)
        init = cls.member("__init__")
        if isinstance(init, Function):
            self.call_function(self._bind(init, instance), args, kwargs, entry)
        elif fields := cls.fields:
            instance.attrs.update(_of_a_record(fields, args, kwargs, entry))
            after = cls.member("__post_init__")
            if isinstance(after, Function):
                self.call_function(self._bind(after, instance), [], {})
        elif layer := layers.inherited(cls, args, kwargs, node):
            return layer
        # nobody knew the object before: no other path has an older state of it to go back to
        self._forget(mark, instance.attrs)
        if key is not None:
            self._objects[key] = instance
        if not entry and not self.assuming and node is not None:
            self.made_in.setdefault(cls.module.path, []).append(instance)
            self.made.append(instance)
        return instance

    def _forget(self, mark: int, table: dict[Any, Value]) -> None:
        self._trail[mark:] = [change for change in self._trail[mark:] if change[0] is not table]

    def call_function(
        self, function: Function, args: list[Value], kwargs: dict[str, Value], entry: bool = False
    ) -> Value:
        if len(self._stack) >= DEEPEST_CALL or function.node in self._stack:
            return Unknown()
        key = None if entry or not args else _key(function, args, kwargs)
        if key is not None and key in self._results:
            return _afresh(self._results[key])
        scope = Scope(function.scope.module, function.scope)
        self._bind_arguments(function, scope, args, kwargs, entry)
        frame = Frame(scope, function.owner, function.bound)
        mark = len(self._trail)
        self._stack.append(function.node)
        self._gone_through.add(function.node)
        try:
            if isinstance(function.node, ast.Lambda):
                return self.eval(function.node.body, frame)
            if self._block(function.node.body, frame):
                frame.returned.append(Const(None))
            if entry:
                self._enter_inner(scope, frame.returned)
        finally:
            self._stack.pop()
        self._forget(mark, scope.names)
        result = Unknown() if self._is_generator(function) else join(frame.returned)
        if key is not None and self.certain:
            self._results[key] = result
        return result

    def _enter_inner(self, scope: Scope, returned: list[Value]) -> None:
        """Go through the functions that one defined and did not call: a step, a closure, that others will call."""
        for value in (*scope.names.values(), *(one for each in returned for one in options(each))):
            if isinstance(value, Function) and value.scope is scope and value.node not in self._gone_through:
                self.call_function(value, [], {}, entry=True)

    def _is_generator(self, function: Function) -> bool:
        node, source = function.node, function.scope.module.source
        if node not in self._generators:
            lines = source.lines[node.lineno - 1 : node.end_lineno]
            self._generators[node] = any("yield" in line for line in lines) and _yields(node)
        return self._generators[node]

    def _bind_arguments(
        self, function: Function, scope: Scope, args: list[Value], kwargs: dict[str, Value], entry: bool
    ) -> None:
        wanted = function.node.args
        if wanted not in self._signatures:
            self._signatures[wanted] = _signature(wanted)
        names, by_keyword, defaults = self._signatures[wanted]
        if function.bound is not None and function.kind != "static":
            args = [function.bound, *args]
        known = next((at for at, one in enumerate(args) if isinstance(one, Many)), len(args))
        given = dict(zip(names, args[:known], strict=False))
        given.update(kwargs)
        outside = Frame(function.scope)
        for name in (*names, *by_keyword):
            if name in given:
                value = given[name]
            elif name in defaults and not ("**" in kwargs or known < len(args)):
                value = self._default(defaults[name], outside, entry)
            else:
                value = apply.argument(function, name) if entry else Unknown()
            scope.names[name] = value
        if wanted.vararg:
            rest = args[len(names) :]
            scope.names[wanted.vararg.arg] = Unknown() if entry or known < len(args) else Seq(tuple(rest))
        if wanted.kwarg:
            rest_named = {key: value for key, value in kwargs.items() if key not in scope.names}
            scope.names[wanted.kwarg.arg] = Unknown() if entry or "**" in kwargs else Table(dict(rest_named))

    def _default(self, node: ast.expr, frame: Frame, entry: bool) -> Value:
        """A default holds where a call is read that leaves it; where none is, a caller may have given anything else."""
        value = self.eval(node, frame)
        return Unknown() if entry and not isinstance(value, Layer | Instance | Function | Class | External) else value


def _signature(wanted: ast.arguments) -> Signature:
    names = [one.arg for one in (*wanted.posonlyargs, *wanted.args)]
    defaults = dict(zip(names[len(names) - len(wanted.defaults) :], wanted.defaults, strict=True))
    by_keyword = [one.arg for one in wanted.kwonlyargs]
    defaults.update({name: one for name, one in zip(by_keyword, wanted.kw_defaults, strict=True) if one})
    return names, by_keyword, defaults


def _of_a_record(fields: list[str], args: list[Value], kwargs: dict[str, Value], entry: bool) -> dict[str, Value]:
    """What the names of a record hold that were given; the others hold what the class says."""
    known = next((at for at, one in enumerate(args) if isinstance(one, Many)), len(args))
    given = dict(zip(fields, args[:known], strict=False)) | {key: kwargs[key] for key in fields if key in kwargs}
    if entry or known < len(args) or "**" in kwargs:
        return {name: Unknown() for name in fields} | given
    return given


def _of_a_star(module: Module, name: str) -> External | None:
    """What a name stands for that `from package import *` may have brought."""
    return next((External(f"{one}.{name}") for one in module.stars if apply.is_known(f"{one}.{name}")), None)


def _key(callee: Class | Function, args: list[Value], kwargs: dict[str, Value]) -> tuple[Any, ...] | None:
    """What a call depends on, where none of its arguments says anything; None where one does."""
    parts: list[Any] = [callee.node]
    if isinstance(callee, Function) and callee.bound is not None:
        if not isinstance(callee.bound, Instance):
            return None
        parts += [id(callee.bound), tuple(map(id, callee.bound.attrs.values()))]
    elif isinstance(callee, Function):
        parts.append(id(callee.scope))
    for name, value in (*enumerate(args), *kwargs.items()):
        if isinstance(value, Unknown) and value.batch is None and _says_nothing(value.tensor):
            parts.append((name, "unknown"))
        elif isinstance(value, Const) and isinstance(value.value, int | float | str | bool | None):
            parts.append((name, type(value.value), value.value))
        else:
            return None
    return tuple(parts)


def _says_nothing(tensor: Tensor | None) -> bool:
    return tensor is None or (tensor.made is None and not tensor.shape.known and tensor.shape.open)


def _afresh(value: Value) -> Value:
    """The same for another call: values that have nothing to do with those of the first."""
    if isinstance(value, Tensor):
        return value.but(origin=object())
    if isinstance(value, Unknown):
        return Unknown(batch=value.batch)
    if isinstance(value, Seq):
        return Seq(tuple(map(_afresh, value.items)), value.exact)
    return Either(tuple(map(_afresh, value.options))) if isinstance(value, Either) else value


def _is_exact(source: Value) -> bool:
    """Whether a loop goes through these items one by one."""
    if isinstance(source, Layer):
        source = layers.modules_of(source)
    if isinstance(source, Table):
        return len(source.items) <= LONGEST_LOOP
    return isinstance(source, Seq) and source.exact and len(source.items) <= LONGEST_LOOP


def _kind(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    for decorator in node.decorator_list:
        name = decorator.attr if isinstance(decorator, ast.Attribute) else getattr(decorator, "id", "")
        if name in ("staticmethod", "classmethod", "property", "cached_property"):
            return {"staticmethod": "static", "classmethod": "class"}.get(name, "property")
    return "function"


def _is_main_guard(test: ast.expr | None) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _yields(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Yield | ast.YieldFrom) for one in _own_nodes(node))


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


STATEMENTS: dict[type[ast.stmt], Callable[[Interpreter, Any, Frame], bool | None]] = {
    ast.Expr: Interpreter._expr,
    ast.Assign: Interpreter._assign,
    ast.AnnAssign: Interpreter._ann_assign,
    ast.AugAssign: Interpreter._aug_assign,
    ast.If: Interpreter._if,
    ast.For: Interpreter._for,
    ast.AsyncFor: Interpreter._for,
    ast.While: Interpreter._while,
    ast.With: Interpreter._with,
    ast.AsyncWith: Interpreter._with,
    ast.Try: Interpreter._try,
    ast.Match: Interpreter._match,
    ast.Return: Interpreter._return,
    ast.Raise: Interpreter._leave,
    ast.Break: Interpreter._leave,
    ast.Continue: Interpreter._leave,
    ast.Global: Interpreter._global,
    ast.Nonlocal: Interpreter._nonlocal,
    ast.Import: Interpreter._import_statement,
    ast.ImportFrom: Interpreter._import_from,
    ast.FunctionDef: Interpreter._function_def,
    ast.AsyncFunctionDef: Interpreter._function_def,
    ast.ClassDef: Interpreter._class_def,
}

EXPRESSIONS: dict[type[ast.expr], Callable[[Interpreter, Any, Frame], Value]] = {
    ast.Constant: Interpreter._constant,
    ast.Name: Interpreter._name,
    ast.Tuple: Interpreter._sequence,
    ast.List: Interpreter._sequence,
    ast.Dict: Interpreter._dict,
    ast.Lambda: Interpreter._lambda,
    ast.IfExp: Interpreter._if_exp,
    ast.BoolOp: Interpreter._bool_op,
    ast.UnaryOp: Interpreter._unary,
    ast.BinOp: Interpreter._binary,
    ast.Compare: Interpreter._compare,
    ast.Attribute: Interpreter._attribute,
    ast.Subscript: Interpreter._subscript,
    ast.ListComp: Interpreter._comprehension,
    ast.SetComp: Interpreter._comprehension,
    ast.GeneratorExp: Interpreter._comprehension,
    ast.DictComp: Interpreter._dict_comprehension,
    ast.NamedExpr: Interpreter._named,
    ast.Await: Interpreter._inner,
    ast.YieldFrom: Interpreter._inner,
    ast.Starred: Interpreter._inner,
    ast.Yield: Interpreter._yield,
    ast.Call: Interpreter._call,
}
