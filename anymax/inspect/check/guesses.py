"""What an argument is likely to be, from the names in its file: `net` in one function is the `net` of another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from anymax.inspect.check.interpret import Interpreter
from anymax.inspect.check.layers import A_LOSS
from anymax.inspect.check.project import Module
from anymax.inspect.check.sources import places_of
from anymax.inspect.check.values import Class, Function, Instance, Layer, Value, join

MODELS = frozenset(["model", "net", "network", "classifier", "module", "policy", "detector"])
LOSSES = frozenset(["criterion", "loss", "loss_fn", "loss_func", "loss_function", "objective"])
METHOD = re.compile(r"\w+\(")
# A call, and the name that it is given first
CALL = re.compile(r"(?:\w+\.)*(\w+)\((\w*)")
HANDED_ON = frozenset(["deepcopy", "compile", "DataParallel", "DistributedDataParallel"])

# More candidates than this and nothing is likely.
MOST_CANDIDATES = 3


class Guesses:
    """The models and losses of a file that its functions are likely to be given."""

    def __init__(self, module: Module, values: list[Value], interpreter: Interpreter) -> None:
        self._module = module
        self._interpreter = interpreter
        self._classes = [value for value in values if isinstance(value, Class) and value.module is module]
        self._factories = [
            value
            for value in values
            if isinstance(value, Function) and value.scope.module is module and _returns(value)
        ]
        self._held = interpreter.named.get(module.path, {})
        self._likely: dict[str, list[Value]] = {}
        self._roots: list[Class] | None = None
        self._examples: dict[Class | Function, Value] = {}
        self._by_name = {value.name: value for value in values if isinstance(value, Class)}
        self._records: dict[Class, Instance] = {}
        self._made_of: dict[Value, str] = {}

    def of(self, function: Function) -> tuple[dict[str, Value], str | None]:
        """What to give a function of which no call is read, and the sentence that says so."""
        given: dict[str, Value] = {}
        said: list[str] = []
        annotated = _annotations(function)
        for name in _parameters(function):
            found = self._annotated(annotated.get(name))
            if not found:
                if name not in self._likely:
                    self._likely[name] = self._candidates(name)
                found = self._likely[name]
            found = [one for one in found if not _makes(function, one)]
            if not found or len(found) > MOST_CANDIDATES:
                continue
            given[name] = join(found)
            said.append(f"`{name}` is {' or '.join(dict.fromkeys(map(self._described, found)))}")
        return given, " and ".join(said) or None

    def _candidates(self, name: str) -> list[Value]:
        if found := self._held.get(name):
            return list(found)
        if self._is_called(name) and (made := self._assigned(name)):
            return [self._example(cls) for cls in made]
        for cls in self._classes:
            if cls.name.lower() == name.lower().replace("_", "") and self._is_used(name):
                return [self._example(cls)]
        if not (self._is_used(name) if name in MODELS else self._is_called(name)):
            return []
        if name in MODELS or name in LOSSES:
            roots = [cls for cls in self._root_modules() if _is_loss(cls) == (name in LOSSES) and not _wraps(cls)]
            if roots:
                return [self._example(cls) for cls in roots]
        if name in LOSSES and (found := self._held.get(A_LOSS)):
            return list({value.name: value for value in found if isinstance(value, Layer)}.values())
        if len(name) >= 3:
            # three letters are those of a class where it begins with them
            part = name.lower()
            roots = [
                cls
                for cls in self._root_modules()
                if part in (cls.name.lower() if len(part) >= 4 else cls.name.lower()[:3])
            ]
            if roots:
                return [self._example(cls) for cls in roots]
        for factory in self._factories:
            if re.search(rf"(?:^|_){re.escape(name)}$", factory.name) and factory.name != name:
                return [self._example(factory) if name in MODELS or name in LOSSES else factory]
        if name in MODELS:
            made = [self._example(factory) for factory in self._factories]
            return [one for one in made if isinstance(one, Layer)]
        return []

    def _is_called(self, name: str) -> bool:
        return any(True for _ in self._before(name, "("))

    def _is_used(self, name: str) -> bool:
        """Whether it is called, or one of its methods."""
        text = self._module.source.text
        return self._is_called(name) or any(METHOD.match(text, at) for at in self._before(name, "."))

    def _before(self, name: str, mark: str) -> Iterator[int]:
        """Where the text goes on after each `name` with this mark behind it, but for the one of a definition."""
        text = self._module.source.text
        for at in places_of(name + mark, text):
            if not (text[at - 1 : at].isidentifier() or text.endswith("def ", 0, at)):
                yield at + len(name) + 1

    def _annotated(self, wanted: str | None) -> list[Value]:
        """An object of the class that an annotation names: a record with its defaults, or a module."""
        cls = self._by_name.get(wanted or "")
        if cls is None:
            return []
        if cls.fields and not cls.is_module:
            return [self._records.setdefault(cls, Instance(cls))]
        return [self._example(cls)] if cls.is_module else []

    def _assigned(self, name: str, deep: bool = False) -> list[Class]:
        """The modules of the file whose objects, or copies of them, go by this name somewhere in its text."""
        text, found = self._module.source.text, list[Class]()
        for at in places_of(f"{name} = ", text):
            made = None if text[at - 1 : at].isidentifier() else CALL.match(text, at + len(name) + 3)
            if made is None:
                continue
            found += [cls for cls in self._classes if cls.name == made[1] and cls.is_module]
            if made[1] in HANDED_ON and made[2] and not deep:
                found += self._assigned(made[2], deep=True)
        return list(dict.fromkeys(found))

    def _root_modules(self) -> list[Class]:
        """The modules of the file that are no part of another one in it."""
        if self._roots is None:
            modules = [cls for cls in self._classes if cls.is_module]
            texts = {cls: self._module.source.segment(cls.node) for cls in modules}
            self._roots = [
                cls
                for cls in modules
                if not any(re.search(rf"\b{cls.name}\b", texts[other]) for other in modules if other is not cls)
            ]
        return self._roots

    def _example(self, made_by: Class | Function) -> Value:
        if made_by not in self._examples:
            if isinstance(made_by, Class):
                init = made_by.member("__init__")
                asked = _annotations(init) if isinstance(init, Function) else {}
                records = {
                    name: found[0]
                    for name, wanted in asked.items()
                    if (cls := self._by_name.get(wanted)) and not cls.is_module and (found := self._annotated(wanted))
                }
                example = self._interpreter.example_of(made_by, records)
                self._examples[made_by] = example
                if records:
                    self._made_of[example] = " and ".join(map(self._described, records.values()))
            else:
                self._examples[made_by] = self._interpreter.result_of(made_by)
        return self._examples[made_by]

    def _described(self, value: Value) -> str:
        if isinstance(value, Instance):
            defaults = " with its defaults" if self._records.get(value.cls) is value else ""
            made_of = f" made of {self._made_of[value]}" if value in self._made_of else ""
            return f"a {value.cls.name}{defaults}{made_of}"
        if isinstance(value, Function):
            return value.name
        return f"a {value.name}" if isinstance(value, Layer) else "what this file makes"


def _wraps(cls: Class) -> bool:
    """Whether a class takes whole models itself: a function next to it may be meant for those as well as for it."""
    init = cls.member("__init__")
    names = _parameters(init) if isinstance(init, Function) else []
    return any(name in MODELS or name.removesuffix("s") in MODELS for name in names)


def _makes(function: Function, value: Value) -> bool:
    """Whether the function is the constructor of the object, which then can be no argument of it."""
    if function.name != "__init__" or not isinstance(value, Instance):
        return False
    return any(function.owner is cls for cls in value.cls.ancestry())


def _annotations(function: Function) -> dict[str, str]:
    """The classes that annotations of parameters name, where they are nothing but a name."""
    wanted = function.node.args
    found: dict[str, str] = {}
    for one in (*wanted.posonlyargs, *wanted.args, *wanted.kwonlyargs):
        if isinstance(one.annotation, ast.Name):
            found[one.arg] = one.annotation.id
        elif isinstance(one.annotation, ast.Constant) and isinstance(one.annotation.value, str):
            found[one.arg] = one.annotation.value
    return found


def _parameters(function: Function) -> list[str]:
    wanted = function.node.args
    names = [one.arg for one in (*wanted.posonlyargs, *wanted.args, *wanted.kwonlyargs)]
    return names[1:] if function.owner is not None and function.kind != "static" else names


def _returns(function: Function) -> bool:
    body = function.node.body
    return isinstance(body, list) and isinstance(body[-1], ast.Return) and body[-1].value is not None


def _is_loss(cls: Class) -> bool:
    return "loss" in cls.name.lower() or "criterion" in cls.name.lower()
