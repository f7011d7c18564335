"""The functions that take options as one object, called with each option by its name."""

from __future__ import annotations

from dataclasses import fields

from anymax.lab.data import load as data
from anymax.lab.data import table
from anymax.lab.options import ReadOptions, TrainOptions
from anymax.lab.training import run as training
from anymax.lab.training.methods import METHODS

# the methods that classes can be told apart with, and not labels alone
OF_CLASSES = [name for name, method in METHODS.items() if method.make is not None]


def read_options(**options) -> ReadOptions:
    sequences = {name: tuple(options[name]) for name in ("drop", "missing") if name in options}
    return ReadOptions(**(options | sequences))


def load(source, **options):
    return data.load(source, read_options(**options))


def read_table(name, frame, target, *, decimal_comma=False, **options):
    return table.read_table(name, frame, target, read_options(**options), decimal_comma=decimal_comma)


def run(dataset, **arguments):
    names = {field.name for field in fields(TrainOptions)} & arguments.keys()
    options = {name: arguments.pop(name) for name in names}
    if options.get("methods") is not None:
        options["methods"] = tuple(options["methods"])
    return training.run(dataset, TrainOptions(**options), **arguments)
