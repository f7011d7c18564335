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
from anymax.inspect.check.sources import Source
from anymax.inspect.check.values import Class, Function, Imported, Instance, Value

# A file or function without any of these words has nothing to observe of its own.
FIELD = re.compile(
    r"soft_?max|softmin|sigmoid|cross_?entropy|nll_?loss|bce|kl_?div|multilabelsoft|focal_loss|logsumexp|categorical|multinomial|"
    r"bernoulli|argmax|\bexp\b|criterion|criteria|objective|loss\w*\(|torch\.log\(|\.log\(\)",
    re.IGNORECASE,
)

# Calls inside calls and imports inside imports take a dozen frames of ours each.
DEEPEST_STACK = 5000

MOST_STEPS_OF_A_FILE = 30_000

# Objects of one file whose methods are entered once more each
MOST_OBJECTS = 12

Way = tuple[Function, Value | None, dict[str, Value], str | None]


class Reading:
    """What is known of the files after reading them."""

    def __init__(self, paths: Iterable[str], read: Callable[[str], Source | None]) -> None:
        self.project = Project(paths, read)
        self.failed: dict[str, str] = {}
        self._seen: dict[str, list[Observation]] = {}
        self.partly: list[str] = []
        self._examples: dict[Class, Value] = {}
        self._lines: dict[str, list[int]] = {}
        self._interpreter = Interpreter(self.project, self._see)

    def look(self, source: Source) -> None:
        """Go through one file; what it shows of others is kept with them."""
        if not FIELD.search(source.text) and not self._brings_the_field(source):
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
        left = MOST_STEPS_OF_A_FILE
        for function, instance, given, assuming in self._ways_in(module, values):
            self._interpreter.assuming = assuming
            self._interpreter.enter(function, instance, given)
            self._interpreter.assuming = None
            left -= self._interpreter.taken
            if left < 0:
                self.partly.append(module.path)
                break

    def _values(self, scope: Scope) -> list[Value]:
        """What the names of a module stand for, those imports looked up that are of the field."""
        for name, value in list(scope.names.items()):
            if isinstance(value, Imported) and value.name and self._imports_the_field(value):
                self._interpreter.lookup(name, scope)
        return list(scope.names.values())

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

    def _imports_the_field(self, wanted: Imported) -> bool:
        """Whether what an import brings is a function or class of the field, by the text of its file."""
        path = self.project.path_of(wanted.module, wanted.importer, wanted.level)
        if path is None or wanted.name is None:
            return False
        text = self.project.text(path)
        found = re.search(rf"^(?:class|def) {re.escape(wanted.name)}\b", text, re.MULTILINE)
        if found is None:
            return False
        end = re.search(r"^(?:class|def|@)", text[found.end() :], re.MULTILINE)
        return FIELD.search(text, found.start(), found.end() + end.start() if end else len(text)) is not None

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
        words = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(names))) + r")\b") if names else None
        for value in own:
            if isinstance(value, Function):
                if self._is_worth_it(value, words):
                    yield value, None
                continue
            methods = list(_methods(value))
            whole = any(method.name == "__init__" and self._is_worth_it(method, words) for method in methods)
            for method in methods:
                if method.name != "__init__" and (whole or self._is_worth_it(method, words)):
                    yield method, value

    def _example_of(self, cls: Class) -> Instance | None:
        if cls not in self._examples:
            self._examples[cls] = self._interpreter.example_of(cls)
        found = self._examples[cls]
        return found if isinstance(found, Instance) else None

    def _is_of_the_field(self, value: Function | Class) -> bool:
        path = _module_of(value).path
        if path not in self._lines:
            source = _module_of(value).source
            self._lines[path] = [bisect.bisect(source.starts, match.start()) for match in FIELD.finditer(source.text)]
        lines = self._lines[path]
        at = bisect.bisect_left(lines, value.node.lineno)
        return at < len(lines) and lines[at] <= (value.node.end_lineno or 0)

    def _is_worth_it(self, function: Function, words: re.Pattern[str] | None) -> bool:
        if self._is_of_the_field(function):
            return True
        source = function.scope.module.source
        return words is not None and words.search(source.text, *source.span(function.node)) is not None


def _module_of(value: Function | Class) -> Module:
    return value.module if isinstance(value, Class) else value.scope.module


def _methods(cls: Class) -> Iterator[Function]:
    """The methods that the class has itself."""
    for value in list(cls.members.values()):
        if isinstance(value, Function) and value.owner is cls:
            yield value
