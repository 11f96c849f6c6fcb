"""What Dynamo does not guard counts in the next call all the same."""

from __future__ import annotations

import os
import sys
import types

import pytest
import torch

import tessera
from tessera import torch_internals
from tessera.capture.name_watch import NameWatch


def _shadowed(x):
    return x * max(2, 3)


def _environment(x):
    return x * float(os.environ.get("TESSERA_TEST_FACTOR", "1"))


class Layer(torch.nn.Module):
    def forward(self, x):
        return x * 2


def test_a_builtin_that_becomes_a_global(monkeypatch):
    compiled, x = tessera.compile(_shadowed), torch.ones(3)
    assert compiled(x)[0] == 3
    monkeypatch.setitem(globals(), "max", lambda *_: 7)
    assert compiled(x)[0] == 7
    monkeypatch.delitem(globals(), "max")
    assert compiled(x)[0] == 3


def test_a_variable_of_the_environment(monkeypatch):
    compiled, x = tessera.compile(_environment), torch.ones(3)
    for value in ("1", "3", "5", "3"):
        monkeypatch.setenv("TESSERA_TEST_FACTOR", value)
        assert compiled(x)[0] == float(value)
    monkeypatch.delenv("TESSERA_TEST_FACTOR")
    assert compiled(x)[0] == 1


@pytest.mark.parametrize("inside", [True, False], ids=["in a closure", "given"])
def test_the_forward_of_a_class(monkeypatch, inside):
    layer, x = Layer(), torch.ones(3)
    compiled = tessera.compile((lambda x: layer(x) * 1.0) if inside else layer)
    assert compiled(x)[0] == 2
    monkeypatch.setattr(Layer, "forward", lambda self, x: x * 5)
    assert compiled(x)[0] == 5


def test_only_what_was_used_is_watched():
    names, code = dict(globals()), _shadowed.__code__
    function = types.FunctionType(code, names)
    watch = NameWatch()
    watch.see(torch_internals.Traced(code, {}, frozenset({code}), watch, [function], [], draws=False, leaves=False))
    assert watch.holds()
    names["min"] = 1
    assert watch.holds()
    names["max"] = 1
    assert not watch.holds()
    watch.forget()
    assert watch.holds()


def _counts(x):
    _counts.calls = getattr(_counts, "calls", 0) + 1
    return x * _counts.calls


def test_an_attribute_that_a_function_gets():
    compiled, x = tessera.compile(_counts), torch.ones(3)
    assert [float(compiled(x)[0]) for _ in range(3)] == [1, 2, 3]
    del _counts.calls
    assert compiled(x)[0] == 1
    del _counts.calls


class Scaled:
    def apply(self, x):
        return x * 2


def test_a_method_of_an_object_that_is_made_inside(monkeypatch):
    compiled, x = tessera.compile(lambda x: Scaled().apply(x)), torch.ones(3)
    assert compiled(x)[0] == 2
    monkeypatch.setattr(Scaled, "apply", lambda self, x: x * 7)
    assert compiled(x)[0] == 7


def _imports(x):
    import tessera_test_made

    return x * tessera_test_made.scale


def test_a_module_that_is_imported_inside(monkeypatch):
    compiled, x = tessera.compile(_imports), torch.ones(3)
    for scale in (2.0, 5.0):
        made = types.ModuleType("tessera_test_made")
        made.scale = scale
        monkeypatch.setitem(sys.modules, "tessera_test_made", made)
        assert compiled(x)[0] == scale
    monkeypatch.delitem(sys.modules, "tessera_test_made")
    with pytest.raises(ModuleNotFoundError):
        compiled(x)


def test_a_module_gets_an_attribute_that_was_asked_for():
    tools = types.ModuleType("tools")
    compiled = tessera.compile(lambda x: x + getattr(tools, "extra", 0))
    assert compiled(torch.zeros(1)).item() == 0
    tools.other = 1
    tools.extra = 5
    assert compiled(torch.zeros(1)).item() == 5
    del tools.extra
    assert compiled(torch.zeros(1)).item() == 0
