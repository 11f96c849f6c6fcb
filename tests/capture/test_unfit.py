"""What Dynamo does while it captures is not seen: such functions and calls run as they are, and others are captured."""

from __future__ import annotations

import gc
import sys
import types

import pytest
import torch

import tessera
from tessera.capture.left_alone import users_functions
from tessera.capture.unfit import (
    ASKED,
    FINALIZED,
    GIVEN_TWICE,
    INFERENCE,
    KEYED,
    SECOND,
    STACK,
    refuse_given_twice,
    why_unfit,
)


def _reasons(compiled):
    return [entry.reason for entry in compiled.report.step_downs]


_ASKED = []


def _noting(pair):
    _ASKED.append(pair[0])
    return pair[1]


def _largest(x, pairs):
    return x * max(pairs, key=_noting)[1]


def test_a_key_that_notes_what_it_is_asked_for_runs_at_every_call():
    compiled, pairs = tessera.compile(_largest), [("a", 1), ("b", 3)]
    for _ in range(2):
        _ASKED.clear()
        assert compiled(torch.ones(2), pairs).tolist() == [3, 3]
        assert _ASKED == ["a", "b"]
    assert _reasons(compiled) == [KEYED.format("_largest")]


def test_a_key_that_only_computes_may_be_captured():
    for fit in (
        lambda x, pairs: x * max(pairs, key=lambda pair: pair[1])[1],
        lambda x, pairs: x * max(map(_noting, pairs)),
    ):
        assert not why_unfit(users_functions([fit]), [fit])
    assert why_unfit(users_functions([lambda x, pairs: _largest(x * 2, pairs)]), [])


_GONE = []


class Held:
    """Says when it is gone."""

    def __del__(self):
        _GONE.append(1)


class HeldOn(Held):
    """Of such a class."""


def _holds(x):
    held = HeldOn()
    held.x = x * 2
    return held.x


def test_objects_are_finalized_as_often_as_they_are_made():
    compiled = tessera.compile(_holds)
    _GONE.clear()
    for calls in (1, 2, 3):
        assert compiled(torch.ones(2)).tolist() == [2, 2]
        gc.collect()
        assert len(_GONE) == calls
    assert _reasons(compiled) == [FINALIZED.format("HeldOn", "Held")]


class Asked:
    """Notes what it is asked."""

    def __init__(self):
        self.names = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        self.names.append(name)
        return 2.0


class Answers(torch.nn.Module):
    """Looks elsewhere, and notes nothing."""

    def __getattr__(self, name):
        return 3.0 if name == "gain" else super().__getattr__(name)

    def forward(self, x):
        return x * self.gain


def test_an_object_that_notes_is_asked_what_the_function_asks():
    asked = Asked()
    compiled = tessera.compile(lambda x, of=None: x * (of or asked).gain)
    compiled(torch.ones(2))
    assert asked.names == ["gain"]
    given = Asked()
    assert compiled(torch.ones(2), given).tolist() == [2, 2]
    assert given.names == ["gain"]
    assert ASKED.format("Asked", "__getattr__") in _reasons(compiled)


def test_an_object_that_notes_everything_is_asked_nothing_else():
    class Noting:
        gain = 2.0

        def __getattribute__(self, name):
            names.append(name)
            return object.__getattribute__(self, name)

    names, noting = [], Noting()
    tessera.compile(lambda x: x * noting.gain)(torch.ones(2))
    assert names == ["gain"]


def test_one_such_argument_costs_other_calls_nothing():
    compiled = tessera.compile(lambda x, of: x * of.gain)
    given = Asked()
    for _ in range(2):
        compiled(torch.ones(2), given)
    assert given.names == ["gain", "gain"]
    assert not compiled.report.compilations
    compiled(torch.ones(2), types.SimpleNamespace(gain=2.0))
    assert compiled.report.compilations


def test_a_module_that_only_answers_is_captured():
    compiled = tessera.compile(Answers())
    assert compiled(torch.ones(2)).tolist() == [3, 3]
    assert not compiled.report.step_downs


def test_what_looks_at_the_stack_differentiates_twice_or_asks_for_inference_mode():
    def named(x):
        return x * 2, sys._getframe().f_code.co_name

    def penalty(x):
        (slope,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        return slope.sum()

    def inferred(x):
        with torch.inference_mode():
            y = x * 2
        return y.is_inference()

    for function, reason in ((named, STACK), (penalty, SECOND), (inferred, INFERENCE)):
        assert why_unfit([function], [function]) == reason.format(function.__qualname__)
    assert not why_unfit([named, penalty], [], whole=True)
    assert tessera.compile(named)(torch.ones(1))[1] == "named"
    assert tessera.compile(inferred)(torch.ones(1))
    x = torch.ones(1, requires_grad=True)
    tessera.compile(penalty)(x).backward()
    assert x.grad.item() == 6


def _scaled(x, a, **more):
    return x * a + sum(more.values())


def test_an_argument_that_is_given_twice_is_refused():
    def hands_on(*args, **kwargs):
        return _scaled(*args, **kwargs)

    for function in (_scaled, hands_on):
        compiled, x = tessera.compile(function), torch.ones(2)
        assert compiled(x, 2.0, b=1.0).tolist() == [3, 3]
        with pytest.raises(TypeError, match="multiple values for argument 'a'"):
            compiled(x, 2.0, a=1.0)
        assert compiled(x, a=2.0).tolist() == [2, 2]
        assert _reasons(compiled) == [GIVEN_TWICE.format("a")]


def test_a_place_that_takes_no_name_is_not_given_twice():
    refuse_given_twice(lambda x, /, **more: (x, more), (1,), {"x": 2})
    refuse_given_twice(lambda *args, **more: _scaled(args[0], **more), (1,), {"a": 2})
    refuse_given_twice(len, (1,), {"a": 2})


def test_a_module_whose_step_is_given_an_argument_twice():
    class Loss(torch.nn.Linear):
        def forward(self, x, k=1.0, **more):
            return super().forward(x).sum() * k

    module = Loss(2, 1)
    step = tessera.train_step(module, None, torch.optim.SGD(module.parameters(), lr=0.1))
    with pytest.raises(TypeError, match="multiple values for argument 'k'"):
        step(torch.ones(1, 2), 1.0, k=2.0)
