"""The interpreter: it goes through a file as Python would, with abstract values, and runs nothing of it.

Every function is entered once with arguments that are not known and again from each call that is read, so a finding may
rest on two places that are far apart. What is not modelled is `Unknown`, of which nothing is said.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from anymax.inspect.check import apply, layers
from anymax.inspect.check.expressions import EXPRESSIONS
from anymax.inspect.check.frames import Frame, Scope
from anymax.inspect.check.observed import Observation
from anymax.inspect.check.project import CUSTOMARY, Module, Project
from anymax.inspect.check.statements import STATEMENTS
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

ALWAYS_TRUE = (Function, Class, Instance, Layer, Partial)

MISSING = object()

# fmt: off
BUILTINS = frozenset([
    "abs", "all", "any", "bool", "bytes", "callable", "dict", "dir", "enumerate", "filter", "float", "format",
    "frozenset", "getattr", "hasattr", "hash", "id", "input", "int", "isinstance", "issubclass", "iter", "len",
    "list", "map", "max", "min", "next", "object", "open", "pow", "print", "range", "repr", "reversed", "round",
    "set", "setattr", "slice", "sorted", "str", "sum", "super", "tuple", "type", "vars", "zip",
])
# fmt: on


# The names of a function's arguments, those that a keyword alone gives, and the defaults of both
Signature = tuple[list[str], list[str], dict[str, ast.expr]]


class OutOfWork(Exception):
    """An entry took more steps than it may."""


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
        self.trail: list[tuple[dict[Any, Value], Any, Any]] = []
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
            trail, self.trail = self.trail, []
            try:
                self.block(module.tree.body, Frame(module.scope))
            except OutOfWork:
                pass
            finally:
                self.steps, self._stack, self.trail = kept, stack, trail
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
        kept, self.trail = self.trail, []
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
            self.undo(0)
            self.trail = kept

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
        self.trail.append((table, key, table.get(key, MISSING)))
        table[key] = value

    def undo(self, mark: int) -> None:
        while len(self.trail) > mark:
            table, key, old = self.trail.pop()
            if old is MISSING:
                table.pop(key, None)
            else:
                table[key] = old

    def branches(self, ways: Iterable[Callable[[], bool]]) -> bool:
        """Go each way from the same state, and go on with whatever each left; False where none goes on."""
        mark = len(self.trail)
        ends: list[dict[tuple[int, Any], tuple[dict[Any, Value], Any, Any]]] = []
        for way in ways:
            goes_on = way()
            changed = {(id(table), key): (table, key, table.get(key, MISSING)) for table, key, _ in self.trail[mark:]}
            self.undo(mark)
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

    # -- blocks, targets and tests ----------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt], frame: Frame) -> bool:
        """Whether what follows the block is reached."""
        for statement in body:
            handler = STATEMENTS.get(type(statement))
            if handler is not None and handler(self, statement, frame) is False:
                return False
        return True

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

    def assume(self, test: ast.expr, holds: bool, frame: Frame) -> None:
        """What a test says about the rank of a tensor, `x.dim() == 3`, and about which of several things a name is."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.assume(test.operand, not holds, frame)
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And if holds else ast.Or):
            for one in test.values:
                self.assume(one, holds, frame)
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
        mark, kept = len(self.trail), list[Value]()
        for one in value.options:
            self.put(frame.scope.names, name.id, one)
            if self.truth(self.eval(test, frame)) is not (not holds):
                kept.append(one)
        self.undo(mark)
        if 0 < len(kept) < len(value.options):
            self.put(frame.scope.names, name.id, join(kept))

    def items_of(self, value: Value, node: ast.expr | None = None) -> list[Value]:
        """What a loop over `value` sees; one item that stands for all where they are not known."""
        if isinstance(value, Seq) and len(value.items) <= apply.LONGEST_LOOP:
            return list(value.items)
        if isinstance(value, Table) and len(value.items) <= apply.LONGEST_LOOP:
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

    # -- what expressions stand for, and what is in it --------------------------------------------------------------

    def eval(self, node: ast.expr, frame: Frame) -> Value:
        self.steps -= 1
        if self.steps < 0:
            raise OutOfWork
        handler = EXPRESSIONS.get(type(node))
        return Unknown() if handler is None else handler(self, node, frame)

    def place(self, node: ast.AST, frame: Frame) -> Place:
        return Place(frame.module, node, self.assuming)

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

    # -- calls -----------------------------------------------------------------------------------------------------

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
        mark = len(self.trail)
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
        self.trail[mark:] = [change for change in self.trail[mark:] if change[0] is not table]

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
        mark = len(self.trail)
        self._stack.append(function.node)
        self._gone_through.add(function.node)
        try:
            if isinstance(function.node, ast.Lambda):
                return self.eval(function.node.body, frame)
            if self.block(function.node.body, frame):
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
