"""Files in, observations out: which functions the interpreter enters, and what it saw, by the file where it stands."""

from __future__ import annotations

import ast
import bisect
import re
import sys
from collections.abc import Callable, Iterable, Iterator

from anymax.inspect.check.guesses import Guesses
from anymax.inspect.check.interpret import Interpreter, Scope
from anymax.inspect.check.observed import Observation
from anymax.inspect.check.project import Module, Project
from anymax.inspect.check.sources import Source, places_of, whole_places_of
from anymax.inspect.check.values import Class, Function, Imported, Instance, Value, options

# A file or function without any of these, in small letters, has nothing to observe of its own. Plain words, because
# they are found ten times faster than one pattern of them all.
# fmt: off
FIELD = (
    "softmax", "soft_max", "softmin", "sigmoid", "cross_entropy", "crossentropy", "nll_loss", "nllloss",
    "bce", "kl_div", "kldiv", "multilabelsoft", "focal_loss", "logsumexp", "categorical", "multinomial",
    "bernoulli", "argmax", "topk(", ".exp(", "criterion", "criteria", "objective", "loss(", "loss_fn(", "loss_func(",
    "loss_fct(", "loss_of(", "loss_function(", "torch.log(", ".log()",
)
# fmt: on

OWN_CALL = re.compile(r"\bself\.(\w+)\(")
DEFINITION = re.compile(r"^(?:class|def|async def) +(\w+)", re.MULTILINE)

# Calls inside calls and imports inside imports take a dozen frames of ours each.
DEEPEST_STACK = 5000

# Going through expressions takes 10 microseconds each: a file gets as many as a run of some thousand files allows for.
MOST_STEPS_OF_A_RUN = 12_000_000
MOST_STEPS_OF_A_FILE, LEAST_STEPS_OF_A_FILE = 30_000, 3_000

# Objects of one file whose methods are entered once more each
MOST_OBJECTS = 12

Way = tuple[Function, Value | None, dict[str, Value], str | None]


class Reading:
    """What is known of the files after reading them."""

    def __init__(self, paths: Iterable[str], read: Callable[[str], Source | None]) -> None:
        paths = list(paths)
        self.project = Project(paths, read)
        share = MOST_STEPS_OF_A_RUN // max(1, len(paths))
        self._most_steps = min(MOST_STEPS_OF_A_FILE, max(LEAST_STEPS_OF_A_FILE, share))
        self.failed: dict[str, str] = {}
        self._seen: dict[str, list[Observation]] = {}
        self.partly: set[str] = set()  # files in which more calls lead on than were followed
        self._examples: dict[Class, Value] = {}
        self._definitions: dict[str, set[str]] = {}
        self._lines: dict[str, list[int]] = {}
        self._interpreter = Interpreter(self.project, self._see)

    def look(self, source: Source) -> None:
        """Go through one file; what it shows of others is kept with them."""
        low = source.text.lower()
        if not any(word in low for word in FIELD) and not self._brings_the_field(source):
            return
        module = self.project.module(source.path, source)
        assert module is not None  # its source is here
        deepest = sys.getrecursionlimit()
        sys.setrecursionlimit(max(deepest, DEEPEST_STACK))
        try:
            self._enter_all(module)
        except (
            RecursionError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            AssertionError,
        ) as error:
            # a fault of ours in one file must not hide what there is to say of the others
            self.failed[source.path] = f"{type(error).__name__}: {error}"
        finally:
            sys.setrecursionlimit(deepest)

    def seen(self) -> Iterator[tuple[Source, list[Observation]]]:
        """The files of which something was observed."""
        for path, observations in self._seen.items():
            if module := self.project.module(path):
                yield module.source, observations

    def _see(self, observation: Observation) -> None:
        self._seen.setdefault(observation.home.module.path, []).append(observation)

    def _enter_all(self, module: Module) -> None:
        scope = self._interpreter.load(module)
        values = self._values(scope)
        self._interpreter.taken = 0
        for function, instance, given, assuming in self._ways_in(module, values):
            self._interpreter.assuming = assuming
            self._interpreter.enter(function, instance, given)
            self._interpreter.assuming = None
            if self._interpreter.steps < 0:
                self.partly.add(module.path)
            if self._interpreter.taken > self._most_steps:
                self.partly.add(module.path)
                break

    def _values(self, scope: Scope) -> list[Value]:
        """What the names of a module stand for, those imports looked up that are of the field."""
        for name, value in list(scope.names.items()):
            if isinstance(value, Imported) and value.name and self._imports_the_field(value):
                self._interpreter.lookup(name, scope)
        return [one for value in scope.names.values() for one in options(value)]

    def _ways_in(self, module: Module, values: list[Value]) -> Iterator[Way]:
        """Each entry with nothing known of its arguments; then with what else in the file says what they may be."""
        entries = list(self._entries(module, values))
        for function, cls in entries:
            yield function, self._example_of(cls) if cls else None, {}, None
        for instance in self._interpreter.made_in.get(module.path, [])[:MOST_OBJECTS]:
            for function, cls in entries:
                if cls is not None and instance.cls is cls:
                    yield function, instance, {}, None
        guesses = Guesses(module, values, self._interpreter)
        for function, cls in entries:
            given, assuming = guesses.of(function)
            if cls is not None:
                init = cls.members.get("__init__")
                for_init, also = guesses.of(init) if isinstance(init, Function) else ({}, None)
                if for_init or given:
                    self._interpreter.assuming = also or assuming
                    example = self._interpreter.example_of(cls, for_init)
                    yield function, example, given, also or assuming
            elif given:
                yield function, None, given, assuming
        assert module.scope is not None  # it is loaded
        for value, names in module.replaced:
            with self._interpreter.as_of(module.scope, names):
                for function, cls in self._entries(module, [value]):
                    yield function, self._example_of(cls) if cls else None, {}, None

    def _imports_the_field(self, wanted: Imported) -> bool:
        """Whether what an import brings is a function or class of the field, by the text of its file."""
        path = self.project.path_of(wanted.module, wanted.importer, wanted.level)
        if path is None or wanted.name is None:
            return False
        if path not in self._definitions:
            self._definitions[path] = _of_the_field(self.project.text(path))
        return wanted.name in self._definitions[path]

    def _brings_the_field(self, source: Source) -> bool:
        """Whether a file without a word of the field imports some of it."""
        module: Module | None = None
        for node in source.tree.body:
            if isinstance(node, ast.ImportFrom):
                module = module or Module(source.path, source)
                for alias in node.names:
                    wanted = Imported(node.module or "", alias.name, node.level, module)
                    if self._imports_the_field(wanted):
                        return True
        return False

    def _entries(self, module: Module, values: list[Value]) -> Iterator[tuple[Function, Class | None]]:
        """The functions of a file that show something of the field, or call what does."""
        own = [value for value in values if isinstance(value, Function | Class) and _module_of(value) is module]
        names = {value.name for value in values if isinstance(value, Function | Class) and self._is_of_the_field(value)}
        source = module.source
        places = [place for name in names for place in whole_places_of(name, source.text)]
        mentions = sorted({bisect.bisect(source.starts, place) for place in places} | set(self._lines_of(module)))
        callers: list[tuple[Function, Class]] = []  # methods that say nothing themselves come last
        for value in own:
            if isinstance(value, Function):
                if _holds(mentions, value.node):
                    yield value, None
                continue
            methods = list(_methods(value))
            whole = any(method.name == "__init__" and _holds(mentions, method.node) for method in methods)
            shown = {method.name for method in methods if _holds(mentions, method.node)}
            for method in methods:
                if method.name == "__init__":
                    continue
                if whole or method.name in shown:
                    yield method, value
                elif _calls(source, method, shown):
                    callers.append((method, value))
        yield from callers

    def _example_of(self, cls: Class) -> Instance | None:
        if cls not in self._examples:
            self._examples[cls] = self._interpreter.example_of(cls)
        found = self._examples[cls]
        return found if isinstance(found, Instance) else None

    def _is_of_the_field(self, value: Function | Class) -> bool:
        return _holds(self._lines_of(_module_of(value)), value.node)

    def _lines_of(self, module: Module) -> list[int]:
        """The lines of a file with a word of the field."""
        if module.path not in self._lines:
            starts = module.source.starts
            self._lines[module.path] = [bisect.bisect(starts, place) for place in _places(module.source.text)]
        return self._lines[module.path]


def _holds(lines: list[int], node: ast.stmt | ast.expr) -> bool:
    """Whether one of these lines, in order, is of the node."""
    at = bisect.bisect_left(lines, node.lineno)
    return at < len(lines) and lines[at] <= (node.end_lineno or 0)


def _calls(source: Source, method: Function, names: set[str]) -> bool:
    """Whether a method calls one of these of its own object."""
    return not names.isdisjoint(OWN_CALL.findall(source.segment(method.node)))


def _places(text: str) -> list[int]:
    """Where words of the field stand, in order."""
    low = text.lower()
    return sorted(place for word in FIELD for place in places_of(word, low))


def _of_the_field(text: str) -> set[str]:
    """The functions and classes of a file, by its text alone, that have a word of the field in them."""
    definitions = list(DEFINITION.finditer(text))
    starts = [one.start() for one in definitions]
    holders = {bisect.bisect(starts, place) - 1 for place in _places(text)}
    return {definitions[at].group(1) for at in holders if at >= 0}


def _module_of(value: Function | Class) -> Module:
    return value.module if isinstance(value, Class) else value.scope.module


def _methods(cls: Class) -> Iterator[Function]:
    """The methods that the class has itself."""
    for value in list(cls.members.values()):
        if isinstance(value, Function) and value.owner is cls:
            yield value
