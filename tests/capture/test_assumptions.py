"""Dynamo's guards in words."""

from __future__ import annotations

import math
import re
import sys
import types
from dataclasses import dataclass

import pytest
import torch

from tessera.capture.assumptions import CannotFollow, Scope, assumptions_of, main_modules


@dataclass
class Guard:
    name: str
    value: object = None
    guard_type: str = "CONSTANT_MATCH"
    derived_guard_types: tuple[str, ...] = ()
    has_value: bool = True


class Thing:
    table = {"a": (1, 2)}  # noqa: RUF012 - read like this


def scope(**given):
    return Scope(given, {"K": 4, "math": math}, {"__main__": __name__})


def test_constants_stay_and_the_process_and_identities_are_looked_at_elsewhere():
    guards = [Guard("x.p", 0.5), Guard("x.p", 0.5), Guard("", guard_type="GRAD_MODE"), Guard("y", 1, "DUPLICATE_INPUT")]
    found = assumptions_of(guards)
    assert [(each.path, each.described) for each in found.those] == [("x.p", "float 0.5")]
    assert found.problem == ""


@pytest.mark.parametrize(
    ("guard", "word"),
    [
        (Guard("", guard_type="CUDA_STREAM"), "it relies on cuda stream"),
        (Guard("x", Thing(), "ID_MATCH"), "x being one certain object"),
        (Guard("x", Thing(), "BUILTIN_MATCH", ("ID_MATCH",)), "x being one certain object"),
        (Guard("lambda: x", 1), "lambda: x"),
        (Guard("x[", 1), r"x\["),
        (Guard("[i for i in x]", 1), "for i in x"),
    ],
    ids=range(6),
)
def test_what_another_process_cannot_check(guard, word):
    found = assumptions_of([Guard("a", 1), guard])
    assert found.those == ()
    assert re.search(word, found.problem)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("x.table['a'][1]", 2),
        ("x.table['a'][-1]", 2),
        ("type(x).table['a']", (1, 2)),
        ("dict(type(x).__dict__)['table']", {"a": (1, 2)}),
        ("list(dict.keys(x.table))[0]", "a"),
        ("G['K']", 4),
        ("G['__builtins_dict___0']['len']", len),
        ("G['__import_torch_dot_nn'].Linear", torch.nn.Linear),
        ("G['__import___main__'].Thing", Thing),
    ],
    ids=lambda value: str(value)[:40],
)
def test_expressions_are_followed(path, value):
    assert scope(x=Thing()).follow(path) == value


@pytest.mark.parametrize(
    "path",
    ["x.gone", "x.table['b']", "y", "G['gone']", "G['__import_not_dot_loaded']", "exec('1')", "x.act()", "x + x"],
)
def test_an_expression_that_leads_nowhere_runs_nothing(path):
    with pytest.raises(CannotFollow):
        scope(x=Thing()).follow(path)
    assert scope(x=Thing()).described(path) == "nothing"


def test_a_property_that_raises_leads_nowhere():
    class Bad:
        @property
        def value(self):
            raise ZeroDivisionError

    assert scope(x=Bad()).described("x.value") == "nothing"


def test_the_main_module_may_have_another_name_here(monkeypatch):
    module = types.ModuleType("users_program")
    monkeypatch.setitem(sys.modules, "users_program", module)
    kind = type("Net", (torch.nn.Module,), {"__module__": "users_program"})
    assert main_modules({"module": torch.nn.Sequential(kind()), "loss": len, "metrics": ()}) == [
        "__main__",
        "users_program",
    ]
