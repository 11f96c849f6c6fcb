"""Odd Python under ``tessera.compile``: results, side effects, exceptions and the random stream are those of eager."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import functools
import math
import operator
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

import tessera
from tests.contracts.against_eager import compare, detached


def grid(sign=1.0):
    """``[2, 3]``, all of one sign."""
    return sign * (torch.arange(6.0).reshape(2, 3) + 1)


@dataclasses.dataclass
class Args:
    """One call."""

    args: tuple
    named: dict = dataclasses.field(default_factory=dict)


def call(*args, **named):
    return Args(args, named)


UP, DOWN = call(grid()), call(grid(-1.0))


def outcomes(make, calls, compiled):
    """What each call returns or raises, its arguments after the call, and the function's own state at the end."""
    made = make()
    function, state = made if isinstance(made, tuple) else (made, None)
    function = tessera.compile(function) if compiled else function
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the global stream is what users draw from
    torch.manual_seed(0)
    seen = []
    for given in copy.deepcopy(calls):
        try:
            result = function(*given.args, **given.named)
        except Exception as error:  # noqa: BLE001 - whatever eager raises is the expected outcome
            explained = getattr(error, "explanation", None)  # which says more than eager, and ends with its words
            result = (type(error).__name__, explained.said if explained else str(error))
        tensors = _tensors(result), _tensors((given.args, given.named))
        seen.append(
            {
                "result": _plain(result),
                "arguments": _plain((given.args, given.named)),
                "kinds": [type(x).__name__ for x in tree_leaves(result)],
                "gradients": [t.requires_grad for t in tensors[0]],
                "strides": [list(t.stride()) for t in tensors[0]],
                "same object": [[a is b for b in tensors[1]] for a in tensors[0]],
                "same memory": [[_memory(a) == _memory(b) for b in (*tensors[0], *tensors[1])] for a in tensors[0]],
                "random stream": torch.get_rng_state(),
                "Python's stream": random.random(),
                "grad mode": torch.is_grad_enabled(),
            }
        )
        torch.set_grad_enabled(True)
    return [*seen, _plain(state)]


def _tensors(value):
    value = vars(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
    return [t for t in tree_leaves(value) if isinstance(t, torch.Tensor) and t.layout is torch.strided]


def _memory(tensor):
    return tensor.untyped_storage().data_ptr()


def _plain(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, _plain(vars(value))]
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(_plain, value)]
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    return value if isinstance(value, (int, float, str, type(None))) else type(value).__name__


# -- functions. A maker returns a fresh function, or (function, state to compare afterwards) --------------------------


def _closure():
    k = [3]

    def function(x):
        k[0] += 1
        return x * k[0]

    return function, k


def _nonlocal():
    n = 0

    def function(x):
        nonlocal n
        n += 1
        return x * n

    return function


_counter = 0


def _global():
    global _counter
    _counter = 0

    def function(x):
        global _counter
        _counter += 1
        return x * _counter

    return function


def _appends():
    kept = []

    def function(x):
        kept.append(x + 1)
        return len(kept)

    return function, kept


class Box:
    def __init__(self, **values):
        vars(self).update(values)


def _sets_attributes():
    box = Box(n=0)

    def function(x):
        box.n += 1
        box.last = x * box.n
        return box.last

    return function, vars(box)


def _mutable_default():
    def function(x, seen=[]):  # noqa: B006 - that is the point
        seen.append(1)
        return x * len(seen)

    return function


def _many_arguments(x, y=2, *rest, z=None, **named):
    return x * y + sum(rest) + (0 if z is None else z) + sum(named.values())


def _early_return(x):
    if x is None:
        return "nothing"
    if x.shape[0] > 1:
        return x * 2
    return x + 1


def _numbers(x):
    for i in range(3):
        yield x * i


@dataclasses.dataclass
class Pair:
    a: object
    b: object = 1


Named = collections.namedtuple("Named", "p q")


class OwnError(Exception):
    def __init__(self, words, number):
        super().__init__(words, number)
        self.number = number


def _raises_on_data(x):
    if x.sum() > 0:
        raise ValueError(f"bad {tuple(x.shape)}")
    return x


def _raises(x):
    y = x + 1
    raise OwnError("no", y.shape[0])


def _handles(x):
    try:
        return _raises(x)
    except OwnError as error:
        return x * error.number
    finally:
        x.add_(1)


def _recursive(x, n):
    return x if n == 0 else _recursive(x * 2, n - 1)


class Methods:
    k = 2

    def method(self, x):
        return x * self.k

    @staticmethod
    def static(x):
        return x * 3

    @classmethod
    def of_class(cls, x):
        return x * cls.k

    def __call__(self, x):
        return x * self.k * 5

    @property
    def double(self):
        return self.k * 2


@contextlib.contextmanager
def _noted(notes):
    notes.append("in")
    yield
    notes.append("out")


def _in_context(x):
    notes = []
    with _noted(notes), torch.no_grad():
        y = x * 2
    return y, notes


def _while(x):
    n = 0
    while x.sum() > 1:
        x, n = x / 2, n + 1
    return x, n


def _views_written(x):
    y = x + 1
    z = y.view(-1)
    y.add_(1)
    return y, z, y[0]


def _grad_inside(x):
    y = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad((y * y).sum(), y)
    return slope


def _backward_inside(x):
    y = x.clone().requires_grad_()
    (y * y).sum().backward()
    return y.grad


def _turns_gradients_off(x):
    torch.set_grad_enabled(False)
    return x * 2


def _nested_functions(x):
    def inner(y):
        return y * x.sum()

    return [inner(x), (lambda z: z + 1)(x), *map(inner, [x, x + 1])]


def _comprehensions(x):
    table = {k: x * v for k, v in {"a": 1, "b": 2}.items() if v}
    return [table["a"], {**table}, [t for t in table.values()], *(v for v in table.values())]


def _unpacks(pair):
    a, *b = pair
    return [a, *b, a + b[0]]


def _string_work(x, name):
    return x * len(f"{name!r:>10}".strip()) + ("a" in name)


def _decorated(function):
    @functools.wraps(function)
    def outer(*args, **named):
        return function(*args, **named) + 1

    return outer


_inner_compiled = tessera.compile(lambda y: y * 2 + float(y.sum()))

CASES = {
    # names
    "closure": (lambda: (lambda k: lambda x: x * k)(3), UP, UP),
    "closure that is edited": (_closure, UP, UP, UP),
    "nonlocal": (_nonlocal, *[UP] * 4),
    "global": (_global, UP, UP, UP),
    "list": (_appends, UP, UP, UP),
    "attributes": (_sets_attributes, UP, UP, UP),
    "mutable default": (_mutable_default, UP, UP, UP),
    # arguments
    "all kinds of arguments": (
        lambda: _many_arguments,
        UP,
        call(grid(), 3),
        call(grid(), 3, 4, 5, z=1, q=2),
        call(grid(), z=torch.ones(3), w=torch.ones(1)),
    ),
    "missing argument": (lambda: _recursive, UP),
    "unexpected argument": (lambda: _raises, call(grid(), what=1)),
    "None and early return": (lambda: _early_return, UP, call(None), call(torch.ones(1, 2))),
    "integers": (lambda: lambda x, n: x * n + n // 2, *[call(grid(), n) for n in (3, 4, 5, 0, 1, -1)]),
    "floats": (lambda: lambda x, n: x * n if n > 1 else x + n, *[call(grid(), n * 0.7) for n in range(4)]),
    "strings": (lambda: _string_work, call(grid(), "a"), call(grid(), "bc"), call(grid(), "a")),
    "order of a dict": (
        lambda: lambda d: [v * i for i, v in enumerate(d.values())],
        call({"a": torch.ones(1), "b": torch.ones(2)}),
        call({"b": torch.ones(2), "a": torch.ones(1)}),
    ),
    "length of a list": (lambda: sum, call([torch.ones(2)] * 2), call([torch.ones(2)] * 3)),
    "set": (lambda: lambda x, s: x * len(s), call(grid(), {1, 2}), call(grid(), {1})),
    "dataclass in": (lambda: lambda d: d.a * d.b, call(Pair(grid(), 3)), call(Pair(grid(), 4))),
    "unpacking": (lambda: _unpacks, call((torch.ones(2), torch.ones(2))), call([torch.ones(2)] * 3)),
    "sizes": (
        lambda: lambda x: x.view(x.shape[0], -1) * x.shape[0] if x.shape[0] % 2 else x.sum(),
        *[call(torch.ones(n, 3)) for n in (2, 3, 4, 5, 1, 0)],
    ),
    "dtypes": (
        lambda: lambda x: x * 2.5,
        *[call(torch.ones(3, dtype=t)) for t in (torch.float32, torch.int64, torch.float64, torch.bool)],
    ),
    "no dimensions": (lambda: lambda x: x * 2.5, call(torch.tensor(3)), call(torch.tensor(2.0))),
    "requires_grad changes": (lambda: lambda x: x * 2, UP, call(grid().requires_grad_()), UP),
    "complex": (lambda: lambda x: (x * 1j).exp().real, UP),
    # outputs
    "dataclass": (lambda: lambda x: Pair(x + 1, {"k": [x, 2]}), UP, UP),
    "namedtuple": (lambda: lambda x: Named(x, x + 1), UP),
    "OrderedDict": (lambda: lambda x: collections.OrderedDict(a=x * 2, b=x), UP),
    "defaultdict": (lambda: lambda x: collections.defaultdict(list, a=[x + 1]), UP),
    "generator": (lambda: lambda x: list(_numbers(x)), UP, UP),
    "the input itself": (lambda: lambda x, y: (x, y + 1, x), call(grid(), grid())),
    "views of the input": (lambda: lambda x: (x.view(-1), x[0], x.t(), x.unsqueeze(0)), UP, UP),
    "views of an output": (lambda: _views_written, UP),
    "detached": (lambda: lambda x: (x.detach(), x * 2), call(grid().requires_grad_())),
    # mutation
    "writes its input": (lambda: lambda x: x.add_(1), UP, UP),
    "writes through a view": (lambda: lambda x: (x.view(-1).add_(1), x.t())[1], UP),
    "writes through numpy": (lambda: lambda x: (x.numpy().__setitem__((0, 0), 9.0), x + 1)[1], UP),
    "resizes": (lambda: lambda x: x.resize_(3, 2), UP),
    "assigns data": (lambda: lambda x: (setattr(x, "data", x.data * 2), x + 1)[1], UP),
    "writes a leaf": (lambda: lambda x: x.add_(1), call(grid().requires_grad_())),
    "requires_grad_": (lambda: lambda x: x.requires_grad_() * 2, UP),
    # exceptions
    "raises on data": (lambda: _raises_on_data, UP, DOWN, UP),
    "raises": (lambda: _raises, UP, UP),
    "handles": (lambda: _handles, UP, UP),
    "shapes that do not fit": (lambda: lambda x: x @ x, UP, UP),
    "index of Python": (lambda: lambda x: x[5], UP),
    "division by zero": (lambda: lambda x: x / (1 / 0), UP),
    "dtypes that do not fit": (lambda: lambda x: x @ torch.ones(3, 2, dtype=torch.float64), UP),
    # gradients inside
    "autograd.grad inside": (lambda: _grad_inside, UP, UP),
    "backward inside": (lambda: _backward_inside, UP, UP),
    "turns gradients off for its caller": (lambda: _turns_gradients_off, call(grid().requires_grad_()), UP),
    # Python at work
    "if on data": (lambda: lambda x: x * 2 if x.sum() > 0 else x - 1, UP, DOWN, UP),
    "while on data": (lambda: _while, UP, DOWN),
    "item": (lambda: lambda x: x * x.sum().item(), UP, DOWN),
    "tolist": (lambda: lambda x: [v * 2 for v in x.tolist()[0]], UP, DOWN),
    "sorted by item": (lambda: lambda ts: sorted(ts, key=lambda t: t.sum().item()), call([grid(), grid(-1.0)])),
    "numpy in the middle": (lambda: lambda x: torch.from_numpy(np.sin(x.numpy()) * 2), UP, UP),
    "numpy out": (lambda: lambda x: np.sin(x.numpy()), UP),
    "Python's random numbers": (lambda: lambda x: x * random.random() + random.randint(0, 5), UP, UP, UP),
    "torch's random numbers": (lambda: lambda x: x * torch.rand(3) + torch.randn_like(x), UP, UP),
    "recursion": (lambda: _recursive, call(torch.ones(2), 3), call(torch.ones(2), 5)),
    "context manager": (lambda: _in_context, UP, UP),
    "inner functions": (lambda: _nested_functions, UP),
    "comprehensions": (lambda: _comprehensions, UP),
    "a class of the user": (lambda: lambda x: Methods().method(x) + Methods().double, UP),
    "isinstance": (lambda: lambda x: x + 1 if isinstance(x, nn.Parameter) else x * 2, call(nn.Parameter(grid())), UP),
    # what can be compiled
    "decorated": (lambda: _decorated(lambda x: x * 2), UP),
    "bound method": (lambda: Methods().method, UP, UP),
    "static method": (lambda: Methods.static, UP),
    "class method": (lambda: Methods.of_class, UP),
    "callable object": (lambda: Methods(), UP, UP),
    "partial": (lambda: functools.partial(lambda a, b, c=1: a * b + c, 2.0, c=5), UP, UP),
    "function of torch": (lambda: torch.sin, UP),
    "method of Tensor": (lambda: torch.Tensor.sin, UP),
    "operator": (lambda: operator.add, call(grid(), grid())),
    "function of Python": (lambda: math.sqrt, call(4.0)),
    "compiled inside": (lambda: lambda x: _inner_compiled(x) + 1, UP, DOWN),
    "a module": (lambda: (torch.manual_seed(0), nn.Linear(3, 2))[1], UP, UP),
}


@pytest.mark.parametrize("name", CASES)
def test_is_as_eager(name):
    make, *calls = CASES[name]
    expected, found = outcomes(make, calls, compiled=False), outcomes(make, calls, compiled=True)
    differences = list(compare(detached(expected), detached(found), 1e-6))
    assert not differences, "\n".join(differences)


def test_an_index_out_of_range_is_eagers_error():
    function = tessera.compile(lambda x, i: x[i] * 2)
    x = grid()
    torch.testing.assert_close(function(x, torch.tensor([1])), x[[1]] * 2)
    with pytest.raises(IndexError, match="out of bounds"):
        function(x, torch.tensor([5]))
    torch.testing.assert_close(function(x, torch.tensor([0])), x[[0]] * 2)


def test_equal_results_are_separate_tensors():
    function = tessera.compile(lambda x: (x * 2, x * 2, (x * 2).view(-1)))
    for x in (grid(), grid().requires_grad_()):
        first, second, view = function(x)
        with torch.no_grad():
            first.add_(1)
        torch.testing.assert_close(second, x * 2)
        torch.testing.assert_close(view, (x * 2).view(-1))


def test_arguments_that_overlap_in_memory():
    function = tessera.compile(lambda x, y: (x.add_(1), y * 2)[1])
    for _ in range(2):
        memory = torch.ones(4)
        torch.testing.assert_close(function(memory[:3], memory[1:]), torch.tensor([4.0, 4.0, 2.0]))
        torch.testing.assert_close(function(torch.ones(3), torch.ones(3)), torch.full((3,), 2.0))
        same = torch.ones(3)
        torch.testing.assert_close(function(same, same), torch.full((3,), 4.0))


_factor = 1.0


def test_every_guard_is_kept():
    """Whatever the function reads counts in the next call: a global, an attribute, a flag, an item, a default."""
    global _factor
    box, table, options = Box(k=1.0), {"k": 1.0}, [1.0]

    def function(x, extra=1.0):
        flag = 2.0 if box.k > 5 else 1.0
        return x * _factor * box.k * table["k"] * options[0] * extra * flag + Methods.k

    compiled = tessera.compile(function)
    x = grid()

    def check():
        torch.testing.assert_close(compiled(x), function(x))

    check()
    _factor = 3.0
    check()
    box.k = 4.0
    check()
    box.k = 8.0
    check()
    table["k"] = 5.0
    check()
    options[0] = 7.0
    check()
    function.__defaults__ = (2.0,)
    check()
    Methods.k = 11
    try:
        check()
    finally:
        Methods.k = 2
        _factor = 1.0
    check()


def test_printing_prints_at_every_call(capsys):
    def function(x):
        print("called")
        return x + 1

    compiled = tessera.compile(function)
    for _ in range(3):
        compiled(grid())
    assert capsys.readouterr().out == "called\n" * 3
    assert compiled.report.step_downs[0].where.code == 'print("called")'


def test_a_report_says_what_happened():
    def branches(x):
        while x.sum() > 0:  # here
            x = x - 2
        return x

    whole, pieces = tessera.compile(lambda x: x * 2 + 1), tessera.compile(branches)
    assert whole.report.rung == "not run yet"
    for function in (whole, pieces):
        function(grid())
    assert whole.report.rung == "one graph"
    assert len(whole.report.compilations) == 1
    assert not whole.report.step_downs
    assert pieces.report.rung == "pieces"
    down = pieces.report.step_downs[0]
    assert down.where.file == __file__
    assert down.where.code == "while x.sum() > 0:  # here"
    assert down.instead


def test_inference_mode_of_compile_records_no_gradients():
    weight = torch.ones(3, requires_grad=True)

    @tessera.compile(mode="inference")
    def function(x):
        return x * weight

    assert not function(grid()).requires_grad
    assert torch.is_grad_enabled()
    with pytest.raises(ValueError, match="'default', .* or 'inference'"):
        tessera.compile(lambda x: x, mode="fastest")
