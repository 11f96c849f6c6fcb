"""Python values in words."""

from __future__ import annotations

import enum
import functools
import subprocess
import sys
import textwrap

import pytest
import torch

from tessera.artefact.descriptions import describe


class Colour(enum.Enum):
    RED = 1


class Thing:
    size = 3

    def act(self):
        return 1


def made(body, name="f"):
    """What a piece of source defines, as if it stood in a file of a user's."""
    names = {"__name__": "users_module", "functools": functools}
    exec(textwrap.dedent(body), names)
    return names[name]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "NoneType None"),
        (True, "bool True"),
        (1, "int 1"),
        (1.0, "float 1.0"),
        ((1, "a"), "tuple (int 1, str 'a')"),
        ([], "list ()"),
        ({3, 1}, "set (int 1, int 3)"),
        (torch.float32, "dtype torch.float32"),
        (Colour.RED, "Colour.RED"),
        (torch, "module torch"),
        (len, "builtin len"),
        (torch.relu, "builtin _VariableFunctionsClass.relu"),
        (torch.nn.Linear, "class torch.nn.modules.linear.Linear"),
        (torch.nn.functional.relu, "function torch.nn.functional.relu"),
        ({"a": object()}, "builtins.dict of 1: str 'a'"),
        ([object()], "builtins.list of 1"),
        (torch.zeros(2, 3).T, "Tensor float32[3, 2], strides [1, 3], cpu"),
        (torch.nn.Parameter(torch.zeros(1)), "Parameter float32[1], strides [1], cpu, takes a gradient"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_words(value, words):
    assert describe(value) == words


def test_code_is_its_own_and_not_its_place():
    assert describe(made("def f(x): return x + 1")) == describe(made("\n\n# moved\ndef f(x):\n    return x + 1"))


@pytest.mark.parametrize(
    "other",
    [
        "def f(x): return x + 2",
        "def f(x): return x - 1",
        "def f(x, y=1): return x + 1",
        "def f(x):\n    def g(): return x\n    return x + 1",
        "def g(x): return x + 1\nf = g",
        "@functools.cache\ndef f(x): return x + 1",
    ],
    ids=range(6),
)
def test_other_code_is_another_function(other):
    assert describe(made("def f(x): return x + 1")) != describe(made(other))


def test_a_default_and_a_function_closed_over_count():
    body = "def g(a):\n    def f(x={}): return a(x)\n    return f\nf = g({})"
    first, second, third = (describe(made(body.format(*each))) for each in (("1", "abs"), ("2", "abs"), ("1", "abs")))
    assert first == third != second
    closed = "def make(h):\n    return lambda x: h(x)\nf = make(lambda x: x {} 1)"
    assert describe(made(closed.format("+"))) != describe(made(closed.format("-")))


CLASS = """
class Base:
    def forward(self, x): return x {}
class f(Base):
    k = {}
    @property
    def p(self): return {}
    @staticmethod
    def s(): return {}
"""


def test_a_class_is_the_code_and_the_constants_of_all_its_bases():
    plain = ["+ 1", "2", "3", "4"]
    described = describe(made(CLASS.format(*plain)))
    assert described == describe(made(CLASS.format(*plain)))
    for at in range(4):
        assert (
            describe(made(CLASS.format(*[f"{each}0" if i == at else each for i, each in enumerate(plain)])))
            != described
        )


def test_an_object_is_its_class_and_what_hides_a_part_of_it():
    thing = Thing()
    plain = describe(thing)
    assert plain.startswith("object of class Thing ")
    thing.other = 1
    assert describe(thing) == plain
    thing.act = lambda: 2
    thing.size = 4
    assert describe(thing) == f"{plain} with its own act, size"


PROGRAM = """
from tests.artefact.test_descriptions import Thing, describe, made
print(describe(Thing), describe({'a', 'b', 'c'}), describe(made("def f(x): return x in {'p', 'q', 'r'}")))
"""


def test_words_are_the_same_in_every_process():
    told = set()
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        command = [sys.executable, "-c", PROGRAM]
        told.add(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert len(told) == 1
