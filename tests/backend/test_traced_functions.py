"""What a capture went through is found without a walk through memory; where nothing leads to it, by one."""

from __future__ import annotations

import contextlib
import functools
import gc
import types
import weakref

import pytest
import torch

import tessera
from tessera.backend.traced_functions import CACHE, functions_of
from tessera.torch_internals import Traced


class Capture:
    """Stands for Dynamo's."""


def traced(codes, roots):
    return Traced(codes[0], {}, frozenset(codes), Capture(), list(roots), [], draws=False, leaves=False)


def _helper(x):
    return x + 1


def _calls_helper(x):
    return _helper(x)


def _names_a_module(x):
    return functions_there._helper(x)


functions_there = types.ModuleType("functions_there")
functions_there._helper = _helper


def _decorated(function):
    def wrapper(*args):
        return function(*args)

    return wrapper


class Kind:
    """Has the function in all ways that a class can."""

    @property
    def read(self):
        return 1

    @functools.cached_property
    def kept(self):
        return 2

    @staticmethod
    def still(x):
        return x

    @functools.cache  # noqa: B019 - what is looked for
    def counted(self):
        return 3

    @contextlib.contextmanager
    def inside(self):
        yield


WAYS = {
    "itself": (_helper, _helper),
    "a name in the code": (_calls_helper, _helper),
    "an attribute of a module": (_names_a_module, _helper),
    "a closure": (_decorated(_helper), _helper),
    "a partial": (functools.partial(_decorated(_helper), 1), _helper),
    "a method": (Kind().still, Kind.still),
    "an object's class": (Kind(), Kind.still),
    "a property": (Kind(), Kind.read.fget),
    "a cached property": (Kind(), vars(Kind)["kept"].func),
    "a cache": (Kind(), Kind.counted.__wrapped__),
    "a context manager": (Kind(), Kind.inside.__wrapped__),
    "a default": (lambda x, f=_helper: f(x), _helper),
    "an attribute of an object": (types.SimpleNamespace(called=_helper), _helper),
}


@pytest.fixture
def walks(monkeypatch):
    counted = []
    walk = gc.get_referrers
    monkeypatch.setattr(gc, "get_referrers", lambda *objects: counted.append(objects) or walk(*objects))
    return counted


@pytest.mark.parametrize("way", WAYS)
def test_is_found_without_a_walk(way, walks):
    root, wanted = WAYS[way]
    found = functions_of(traced([wanted.__code__], [root]))
    assert found.functions == [wanted]
    assert walks == []


def test_who_holds_it_is_known(walks):
    counted, inside = Kind.counted.__wrapped__, Kind.inside.__wrapped__
    found = functions_of(traced([counted.__code__, inside.__code__], [Kind()]))
    assert [type(holder) for holder in found.holders[id(counted)]] == [CACHE]
    assert [type(holder) for holder in found.holders[id(inside)]] == [types.FunctionType]
    assert walks == []


def test_where_nothing_leads_to_it_is_a_walk_once_a_capture(walks):
    hidden = functools.cache(_decorated(_helper))
    capture = traced([hidden.__wrapped__.__code__], [])
    found = functions_of(capture)
    assert hidden.__wrapped__ in found.functions
    assert hidden in found.holders[id(hidden.__wrapped__)]
    assert functions_of(capture) is found
    assert len(walks) == 2  # for the functions, and for their holders


def test_what_is_made_inside_is_not_looked_for(walks):
    def outer(x):
        def inner(y):
            return y

        return inner(x)

    codes = [outer.__code__, *(c for c in outer.__code__.co_consts if isinstance(c, types.CodeType))]
    assert functions_of(traced(codes, [outer])).functions == [outer]
    assert walks == []


def test_a_capture_that_is_over_keeps_nothing():
    function = _decorated(_helper)
    capture, gone = traced([function.__code__], [function]), weakref.ref(function)
    functions_of(capture)
    del capture, function
    gc.collect()
    assert gone() is None


class Net(torch.nn.Module):
    """Reaches functions in the ways of models."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 3) for _ in range(2)])
        self.act = _decorated(torch.relu)

    def forward(self, x):
        for layer in self.layers:
            x = self._step(layer, x)
        return x

    def _step(self, layer, x):
        return _calls_helper(self.act(layer(x)))


def test_compiling_a_model_walks_nowhere(walks):
    model, x = Net(), torch.randn(2, 3)
    expected = model(x)
    torch.testing.assert_close(tessera.compile(model)(x), expected)
    assert walks == []
