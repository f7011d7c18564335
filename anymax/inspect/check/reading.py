"""Files in, observations out: which functions the interpreter enters, and what it saw, by the file where it stands."""

from __future__ import annotations

import ast
import bisect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, takewhile

from anymax.inspect.check import layers
from anymax.inspect.check.frames import Scope
from anymax.inspect.check.guesses import LOSSES, MODELS, Guesses
from anymax.inspect.check.interpret import Interpreter
from anymax.inspect.check.observed import Observation
from anymax.inspect.check.project import Module, Project
from anymax.inspect.check.sources import Source, places_of, whole_places_of
from anymax.inspect.check.values import (
    Class,
    Const,
    Either,
    External,
    Function,
    Imported,
    Instance,
    Layer,
    Many,
    Partial,
    Seq,
    Table,
    Value,
    options,
)

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

DEFINITION = re.compile(r"^(?:class|def|async def) +(\w+)", re.MULTILINE)

# Calls inside calls and imports inside imports take a dozen frames of ours each.
DEEPEST_STACK = 5000

# Going through expressions takes 10 microseconds each: a file gets as many as a run of some thousand files allows for.
MOST_STEPS_OF_A_RUN = 12_000_000
MOST_STEPS_OF_A_FILE, LEAST_STEPS_OF_A_FILE = 30_000, 3_000

# Objects of one file whose methods are entered once more each, and entries whose arguments have defaults
MOST_OBJECTS = 12

# Methods of the classes above it that are entered with an object of a class
MOST_INHERITED = 6

Entry = tuple[Function, Class | None]
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
        self._mentions: dict[str, list[int]] = {}
        self._asked: dict[Function, set[str]] = {}
        self._looked_at: set[str] = set()
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
        except Exception as error:
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
        self._interpreter.made = []
        scope = self._interpreter.load(module)
        values = self._values(scope)
        self._interpreter.taken = 0
        self._looked_at.add(module.path)
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
        """Each entry with nothing known of its arguments; then with what else in the file says what they may be, the
        surest first, since a file gets a number of steps."""
        entries = list(self._entries(module, values))
        yield from self._of_examples(entries)
        for instance in self._interpreter.made_in.get(module.path, [])[:MOST_OBJECTS]:
            for function in self._methods_for(instance, entries):
                yield function, instance, {}, None
        yield from self._with_what_it_hands_over(module)
        yield from self._makers_of_arguments(module, values, [function for function, _ in entries])
        yield from self._with_guesses(Guesses(module, values, self._interpreter), entries)
        yield from self._inherited(module, values)
        yield from self._replaced(module)
        yield from islice(self._with_defaults(entries), MOST_OBJECTS)

    def _of_examples(self, entries: Iterable[Entry]) -> Iterator[Way]:
        for function, cls in entries:
            yield function, self._example_of(cls) if cls else None, {}, None

    def _with_guesses(self, guesses: Guesses, entries: list[Entry]) -> Iterator[Way]:
        """The entries with what names in the file say of their arguments, and of those of their class."""
        for function, cls in entries:
            given, assuming = guesses.of(function)
            init = cls.members.get("__init__") if cls else None
            for_init, also = guesses.of(init) if isinstance(init, Function) else ({}, None)
            if not given and not for_init:
                continue
            example = None
            if cls is not None:
                self._interpreter.assuming = also or assuming
                example = self._interpreter.example_of(cls, for_init)
            for one in _apart(function, given):
                yield function, example, one, also or assuming

    def _replaced(self, module: Module) -> Iterator[Way]:
        """What lost its name to something later, as in a notebook, with the names of its time."""
        for value, names in module.replaced:
            assert module.scope is not None  # it is loaded
            with self._interpreter.as_of(module.scope, names):
                yield from self._of_examples(self._entries(module, [value]))

    def _with_defaults(self, entries: list[Entry]) -> Iterator[Way]:
        """The entries whose function, or whose class's constructor, takes a name for a choice, as by default."""
        examples: dict[Class, Value] = {}
        for function, cls in entries:
            init = cls.member("__init__") if cls else None
            chosen = _named_choices(init) if isinstance(init, Function) else {}
            own = _named_choices(function)
            if not chosen and not own:
                continue
            said = f"the arguments of {cls.name if cls and chosen else function.name} have their defaults"
            self._interpreter.assuming = said
            if cls is not None and cls not in examples:
                examples[cls] = self._interpreter.example_of(cls, chosen)
            yield function, examples[cls] if cls else None, own, said

    def _makers_of_arguments(self, module: Module, values: list[Value], entries: list[Function]) -> Iterator[Way]:
        """The functions that assign to a name that an entry has for an argument, and that are none themselves: what
        they give the name is what the argument is likely to be."""
        held = self._interpreter.named.get(module.path, {})
        wanted = {name for function in entries for name in _parameters_of(function)} - {"self", "cls", *held}
        makers = [name for name in wanted if name in MODELS or name in LOSSES]
        if not makers:
            return
        assigns = re.compile(rf"(?:^|[\s,.])(?:{'|'.join(sorted(makers))})\b[^=\n()]*=[^=]")
        others = (value for value in values if isinstance(value, Function) and value not in entries)
        for value in others:
            if value.scope.module is module and assigns.search(module.source.segment(value.node)):
                yield value, None, {}, None

    def _with_what_it_hands_over(self, module: Module) -> Iterator[Way]:
        """The methods of objects whose class is in a file that was looked at before, where this one makes them and
        gives them something of its own: an estimator gets a network."""
        others = (one for one in self._interpreter.made if one.cls.module is not module)
        known = [one for one in others if one.cls.module.path in self._looked_at and _holds_of(one, module)]
        for instance in known[:MOST_OBJECTS]:
            for function in self._methods_for(instance, list(self._entries(instance.cls.module, [instance.cls]))):
                yield function, instance, {}, None

    def _held_of_the_field(self, instance: Instance) -> set[str]:
        return {name for name, value in instance.attrs.items() if self._is_of_the_field(value)}

    def _methods_for(self, instance: Instance, entries: list[Entry]) -> list[Function]:
        """The methods of an object that the code makes that are entries, or use something of the field it was given."""
        held = self._held_of_the_field(instance)
        found = [function for function, cls in entries if cls is instance.cls]
        methods = [method for base in instance.cls.ancestry() for method in _methods(base)]
        more = [one for one in methods if one.name != "__init__" and instance.cls.member(one.name) is one]
        return found + [one for one in more if one not in found and not held.isdisjoint(self._asked_of_self(one))]

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

    def _entries(self, module: Module, values: list[Value]) -> Iterator[Entry]:
        """The functions of a file that show something of the field, or call what does."""
        own = [value for value in values if isinstance(value, Function | Class) and _module_of(value) is module]
        for value in own:
            if isinstance(value, Class):
                yield from ((method, value) for method in self._methods_of_the_field(value))
            elif _holds(self._mentions_in(module), value.node):
                yield value, None
        # methods that say nothing themselves come last
        for cls in own:
            if isinstance(cls, Class):
                yield from ((method, cls) for method in self._callers(cls))

    def _inherited(self, module: Module, values: list[Value]) -> Iterator[Way]:
        """The methods that classes of a file inherit and complete; late, since each takes an object of its class."""
        for cls in values:
            if isinstance(cls, Class) and cls.module is module:
                methods = (method for base in list(cls.ancestry())[1:] for method in self._completed_by(cls, base))
                for method in islice(methods, MOST_INHERITED):
                    yield method, self._example_of(cls), {}, None

    def _methods_of_the_field(self, cls: Class) -> Iterator[Function]:
        """The methods that a class has itself and that show something of the field; all where its constructor or one
        of its attributes does."""
        mentions = self._mentions_in(cls.module)
        whole = any(method.name == "__init__" and _holds(mentions, method.node) for method in _methods(cls)) or any(
            not isinstance(one, Function) and self._is_of_the_field(one) for one in cls.members.values()
        )
        for method in _methods(cls):
            if method.name != "__init__" and (whole or _holds(mentions, method.node)):
                yield method

    def _callers(self, cls: Class) -> Iterator[Function]:
        """The methods that say nothing of the field, and call those that do."""
        shown = {method.name for method in self._methods_of_the_field(cls)}
        for method in _methods(cls):
            if method.name not in shown | {"__init__"} and not shown.isdisjoint(self._asked_of_self(method)):
                yield method

    def _completed_by(self, cls: Class, base: Class) -> Iterator[Function]:
        """The inherited methods that turn to something that the class itself says: `self(x)`, `self.default_loss`."""
        said = {name for one in takewhile(lambda one: one is not base, cls.ancestry()) for name in one.members}
        methods = [one for one in _methods(base) if cls.member(one.name) is one]
        methods = [one for one in methods if one.name != "__init__" and not said.isdisjoint(self._asked_of_self(one))]
        if not methods:
            return
        example, shown = self._example_of(cls), list(self._methods_of_the_field(base))
        held = self._held_of_the_field(example) if example else set()
        for method in methods:
            if method in shown or not held.isdisjoint(self._asked_of_self(method)):
                yield method

    def _asked_of_self(self, method: Function) -> set[str]:
        """The attributes that a method takes from its object; `forward` where it calls the object."""
        if method not in self._asked:
            first = next(iter(_parameters_of(method)), "self")
            text = _module_of(method).source.segment(method.node)
            asked = set(re.findall(rf"\b{first}\.(\w+)", text))
            self._asked[method] = asked | {"forward", "__call__"} if re.search(rf"\b{first}\(", text) else asked
        return self._asked[method]

    def _mentions_in(self, module: Module) -> list[int]:
        """The lines of a file with a word of the field, or the name of something of it."""
        if module.path not in self._mentions:
            names: dict[str, Value] = {}
            if module.scope is not None:
                self._values(module.scope)
                names = module.scope.names
            known = {name for name, value in names.items() if self._is_of_the_field(value)}
            source = module.source
            places = [place for name in known for place in whole_places_of(name, source.text)]
            lines = {bisect.bisect(source.starts, place) for place in places} | set(self._lines_of(module))
            self._mentions[module.path] = sorted(lines)
        return self._mentions[module.path]

    def _example_of(self, cls: Class) -> Instance | None:
        if cls not in self._examples:
            self._examples[cls] = self._interpreter.example_of(cls)
        found = self._examples[cls]
        return found if isinstance(found, Instance) else None

    def _is_of_the_field(self, value: Value) -> bool:
        """Whether a value is, or holds, something of which rules speak."""
        if isinstance(value, Function | Class):
            return _holds(self._lines_of(_module_of(value)), value.node)
        if isinstance(value, Instance):
            return self._is_of_the_field(value.cls)
        if isinstance(value, Layer):
            return _is_a_word_of_the_field(value.name) or any(map(self._is_of_the_field, layers.held_in(value)))
        if isinstance(value, External):
            return _is_a_word_of_the_field(value.name)
        if isinstance(value, Partial):
            return self._is_of_the_field(value.callee)
        if isinstance(value, Table):
            return any(map(self._is_of_the_field, value.items.values()))
        if isinstance(value, Many):
            return self._is_of_the_field(value.item)
        if isinstance(value, Seq):
            return any(map(self._is_of_the_field, value.items))
        return isinstance(value, Either) and any(map(self._is_of_the_field, value.options))

    def _lines_of(self, module: Module) -> list[int]:
        """The lines of a file with a word of the field."""
        if module.path not in self._lines:
            starts = module.source.starts
            self._lines[module.path] = [bisect.bisect(starts, place) for place in _places(module.source.text)]
        return self._lines[module.path]


def _holds_of(instance: Instance, module: Module) -> bool:
    """Whether an object holds a function, class or object that another module, not that of its class, has."""
    values = (one for value in instance.attrs.values() for one in options(value))
    return any(
        (isinstance(one, Function | Class) and _module_of(one) is module)
        or (isinstance(one, Instance) and one.cls.module is module)
        or (isinstance(one, Layer) and one.place.module is module)
        for one in values
    )


def _holds(lines: list[int], node: ast.stmt | ast.expr) -> bool:
    """Whether one of these lines, in order, is of the node."""
    at = bisect.bisect_left(lines, node.lineno)
    return at < len(lines) and lines[at] <= (node.end_lineno or 0)


def _apart(function: Function, given: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """The arguments, one after the other where one may be several things and the function asks which of them it is."""
    text = _module_of(function).source.segment(function.node)
    asked = set(re.findall(r"\b(?:isinstance|hasattr|type)\((\w+)", text))
    name = next((name for name, value in given.items() if name in asked and isinstance(value, Either)), None)
    if name is None:
        yield given
    else:
        yield from ({**given, name: one} for one in options(given[name]))


def _named_choices(function: Function) -> dict[str, Value]:
    """The arguments that are a string by default, as the name of a model or a loss is, and the flags next to them."""
    wanted = function.node.args
    names = _parameters_of(function)
    defaults = list(zip(names[len(names) - len(wanted.defaults) :], wanted.defaults, strict=True))
    defaults += [
        (one.arg, default) for one, default in zip(wanted.kwonlyargs, wanted.kw_defaults, strict=True) if default
    ]
    found = {name: one.value for name, one in defaults if isinstance(one, ast.Constant)}
    if not any(isinstance(value, str) for value in found.values()):
        return {}
    return {name: Const(value) for name, value in found.items() if isinstance(value, str | bool)}


def _is_a_word_of_the_field(name: str) -> bool:
    return any(word in f"{name.lower()}(" for word in FIELD)


def _parameters_of(function: Function) -> list[str]:
    wanted = function.node.args
    return [one.arg for one in (*wanted.posonlyargs, *wanted.args)]


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
