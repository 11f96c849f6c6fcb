"""What Dynamo captures wrongly runs as plain Python, and the Report says why; what it captures well is captured."""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import random
import weakref

import numpy as np
import pytest
import torch

import tessera
from tessera.backend import mistraced

_calls = []
_table = {}
_ordered = collections.OrderedDict(a=1, b=2)


@functools.cache
def _impure(n):
    _calls.append(n)
    return float(len(_calls))


@functools.cache
def _pure(n):
    return torch.arange(float(n)) * 2


class Meta(type):
    """Counts."""

    made = 0

    def __call__(cls):
        Meta.made += 1
        return super().__call__()


class Made(metaclass=Meta):
    """Of a metaclass."""


class Named:
    """Equal to all of its kind."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def _own_draws(x):
    return x * random.Random(3).random()


def _from_the_module(x):
    return x * random.uniform(1, 2)


def _kept(x):
    return x * _impure(x.shape[0])


def _kept_but_pure(x):
    return x + _pure(3)


def _of_a_metaclass(x):
    Made()
    return x * 2


def _under_a_tensor(x):
    return x * _table.get(x, 1.0)


def _set(x):
    return x * len({Named(), Named()})


def _moved(x):
    _ordered.move_to_end("a")
    return x * 2


def _generator(x):
    return (x * i for i in range(2))


def _largest(x):
    return max(x[0], x[1])


def _largest_by_torch(x):
    return torch.maximum(x[0], x[1]) * max(2, 3)


def _numpy(x):
    x.numpy()[0] = 5
    return x * 2


_closed = []


def _rows(x):
    try:
        yield from x.unbind()
    finally:
        _closed.append(len(_closed))


def _first_row(x):
    for row in _rows(x):
        return row * 2
    return x


@contextlib.contextmanager
def _noted():
    try:
        yield
    finally:
        _closed.append(-1)


def _in_a_context(x):
    with _noted():
        return x * 2


def _formatted(x):
    return x * len(format(float(len(x)), "e"))


def _numpy_number(x):
    return x * 2, np.float32(2.5) * 2


def _sought(x):
    return x * 2, x[0] in [1, 0.0], [x[1]].count(1.0)


def _asked(x):
    y = torch.nn.functional.dropout(x, 0.5, training=False)
    return x * (2 if y is x else 3)


def _turned(x):
    y = x * 2
    y.unsqueeze_(0)
    return x * y.shape[0] + len(y)


def _written_to(x):
    try:
        x += 1j
    except RuntimeError:
        return x * 2
    return x * 3


def _held_weakly(x):
    y = x * 2
    return y[:1], weakref.ref(y)


class Saved:
    """Says what of it is copied."""

    def __init__(self):
        self.factor = 2.0

    def __getstate__(self):
        return {"factor": 5.0}


_saved = Saved()


def _copied(x):
    return x * copy.copy(_saved).factor


class Counts:
    """How often, for all of them."""

    total = 0


_counts = Counts()


def _counted(x):
    type(_counts).total += 1
    return x * _counts.total


def _counted_by_the_class(x):
    Counts.total += 1
    return x * Counts.total


def _written_over(x):
    try:
        x[:1].expand(4).add_(1)
    except RuntimeError:
        return x * 2
    return x * 3


def _asked_of_others(x):
    y = torch.nn.functional.dropout(x, 0.5, training=False)
    z = x * 2
    return y * (2 if z is x else 3), len(x) in [2, 3]


class Flat(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, slope):
        return slope * 0


def _derived_by_hand(x):
    return torch.func.grad(lambda y: Flat.apply(y).sum())(x)


def _derived(x):
    return torch.func.grad(lambda y: y.sin().sum())(x)


WRONG = {
    _sought: mistraced.COMPARED,
    _asked: mistraced.SAME_DROPOUT,
    _turned: mistraced.RESHAPED.format("unsqueeze_"),
    _held_weakly: mistraced.WEAKLY,
    _written_to: mistraced.COMPLEX_WRITTEN,
    _own_draws: mistraced.OWN_DRAWS,
    _kept: mistraced.CACHED.format("_impure"),
    _of_a_metaclass: mistraced.METACLASS.format("__call__", "Made"),
    _set: mistraced.EQUAL_BY_METHOD.format("Named"),
    _moved: mistraced.MOVED_TO_END,
    _generator: mistraced.LEAVING_GENERATOR,
    _largest: mistraced.LARGEST.format("max"),
    _numpy: mistraced.NUMPY_WRITES,
    _first_row: mistraced.UNCLOSED.format("_rows"),
    _formatted: mistraced.FORMATTED,
    _numpy_number: mistraced.NUMPY_NUMBER,
    _copied: mistraced.COPIED.format("Saved", "__getstate__"),
    _counted: mistraced.CLASS_ATTRIBUTE.format("total"),
    _written_over: mistraced.WRITTEN_OVER.format("add_"),
}


@pytest.mark.parametrize("function", WRONG, ids=lambda f: f.__name__.strip("_"))
def test_runs_as_plain_python(function):
    compiled, x = tessera.compile(function), torch.arange(3.0)
    compiled(x)
    assert WRONG[function] in [entry.reason for entry in compiled.report.step_downs]
    assert not compiled.report.compilations


@pytest.mark.parametrize(
    "function",
    [
        _derived,
        _from_the_module,
        _kept_but_pure,
        _largest_by_torch,
        _in_a_context,
        _asked_of_others,
        _counted_by_the_class,
    ],
)
def test_what_is_captured_well_is_captured(function):
    compiled, x = tessera.compile(function), torch.arange(3.0)
    compiled(x)
    assert not compiled.report.step_downs


def test_the_backward_of_a_function_is_its_own():
    compiled, x = tessera.compile(_derived_by_hand), torch.arange(3.0)
    assert compiled(x).tolist() == [0.0, 0.0, 0.0]
    assert mistraced.OWN_BACKWARD in [entry.reason for entry in compiled.report.step_downs]


def test_floats_that_are_asked_whether_they_are_one():
    compiled, x = tessera.compile(lambda x, a, b: x * (a if a is b else 1.0)), torch.arange(3.0)
    for k in (1.5, 2.5, 3.5):
        assert compiled(x, k, k).tolist() == (x * k).tolist()
        assert compiled(x, k, float(str(k))).tolist() == x.tolist()


def test_the_keys_of_a_dict():
    x = torch.arange(3.0)
    _table[x] = 2.0
    compiled = tessera.compile(_under_a_tensor)
    torch.testing.assert_close(compiled(x), x * 2)
    _table[x] = 5.0
    torch.testing.assert_close(compiled(x), x * 5)
    _table.clear()


def test_a_training_step_is_not_one_program():
    module = torch.nn.Linear(3, 1)
    step = tessera.train_step(
        module, lambda y, t: (y * random.Random(3).random() - t).sum(), torch.optim.SGD(module.parameters(), lr=0.0)
    )
    x = torch.ones(2, 3)
    expected = (module(x) * random.Random(3).random()).sum().detach()
    for _ in range(2):
        torch.testing.assert_close(step(x, torch.zeros(2, 1)), expected)
    assert mistraced.OWN_DRAWS in [entry.reason for entry in step.report.step_downs]


def test_a_numpy_array_that_is_only_read():
    compiled = tessera.compile(lambda x: torch.from_numpy(np.sin(x.numpy())))
    x = torch.arange(3.0)
    torch.testing.assert_close(compiled(x), x.sin())
    assert not compiled.report.step_downs
