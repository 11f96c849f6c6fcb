"""Habits that surprise under a compiler: aliases and identities, defaults that change, hooks, copies, counters."""

from __future__ import annotations

import types
import typing
import warnings

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_SETTINGS = {"scale": 2.0, "order": ["a", "b"]}


def _remember(x, seen=[]):  # noqa: B006 - the default that is shared is the point
    seen.append(x.shape[0])
    return x * len(seen)


class Pair(typing.NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


class Table(dict):
    """A dict with a method, as outputs of models are."""

    def first(self):
        return next(iter(self.values()))


class Counted(nn.Module):
    made = 0

    def __init__(self):
        super().__init__()
        self.calls, self.scale = 0, 2.0
        self.weight = nn.Parameter(torch.full((3,), 0.5))

    @property
    def factor(self):
        self.calls += 1
        return self.scale * self.calls

    def forward(self, x):
        type(self).made += 1
        return x * self.weight * self.factor


@odd
def default_list_is_shared(r):
    _remember.__defaults__[0].clear()
    f = r.compile(lambda x: _remember(x) + _remember(x[:1]))
    for _ in range(3):
        f(grid())
    r.see(_remember.__defaults__[0])
    _remember.__defaults__ = ([],)
    f(grid())


@odd
def default_tensor_is_changed(r):
    start = torch.ones(3)

    def f(x, state=start):
        state += x[0]
        return state * 2

    f = r.compile(f)
    for _ in range(3):
        f(grid())
        r.see(start)


@odd
def closures_over_a_loop_variable(r):
    functions = []
    for k in (1.0, 2.0, 3.0):
        functions.append(lambda x: x * k)
    f = r.compile(lambda x: [g(x) for g in functions])
    f(grid())
    functions.append(lambda x, k=k: x + k)
    f(grid())


@odd
def views_written_through(r):
    def f(x):
        row, column = x[0], x.t()[1]
        row.mul_(2)
        column += 1
        x.view(-1)[::2].neg_()
        return row, column, x.sum()

    f = r.compile(f)
    for _ in range(2):
        x = grid()
        f(x)
        r.see(x)


@odd
def view_of_an_argument_kept_outside(r):
    kept = []

    def f(x):
        kept.append(x[0])
        x.add_(1)
        return kept[0] * 1

    f = r.compile(f)
    x = grid()
    f(x)
    r.see(kept, x)
    kept[0].zero_()
    r.see(x)


@odd
def two_arguments_are_one(r):
    def f(a, b):
        a.mul_(2)
        return a + b, a is b

    f = r.compile(f)
    f(grid(), grid())
    x = grid()
    f(x, x)
    y = grid()
    f(y, y[:])
    f(y[:1], y[1:])


@odd
def argument_comes_back(r):
    f = r.compile(lambda x, flag: x if flag else x.clone())
    x = grid()
    for flag in (True, False, True):
        f(x, flag)


@odd
def results_that_look_alike_are_two(r):
    def f(x):
        y = x.exp()
        return y, y * torch.ones_like(y), y + torch.zeros_like(y), y.clone(), y

    f = r.compile(f)
    f(grid())
    f(grid().requires_grad_())


@odd
def result_is_written_by_the_caller(r):
    f = r.compile(lambda x: (x * 2, x.sin()))
    first = f(grid())
    if isinstance(first, tuple):
        first[0].zero_()
    f(grid())
    r.see(first)


@odd
def named_tuple_comes_back(r):
    f = r.compile(lambda x: Pair(x * 2, Pair(x, x + 1)))
    out = f(grid())
    r.see(isinstance(out, Pair), getattr(out, "_fields", None))


@odd
def subclass_of_dict_comes_back(r):
    def f(x):
        out = Table(b=x * 2, a=x + 1)
        out["c"] = out.first() - 1
        return out

    f = r.compile(f)
    out = f(grid())
    r.see(type(out).__name__, list(out) if isinstance(out, dict) else None)
    if isinstance(out, Table):
        r.see(out.first())


@odd
def order_of_a_dict_changes(r):
    def f(table):
        out = {}
        for i, (name, value) in enumerate(table.items()):
            out[name] = value * i
        return out, next(iter(table)), "a" in table

    f = r.compile(f)
    a, b = torch.ones(2), torch.full((2,), 3.0)
    f({"a": a, "b": b})
    f({"b": b, "a": a})
    f({"b": b})
    table = {"a": a, "b": b}
    table["a"] = table.pop("a")
    f(table)


@odd
def settings_are_edited(r):
    f = r.compile(lambda x: x * _SETTINGS["scale"] + len(_SETTINGS["order"]) + ("x" in _SETTINGS))
    try:
        f(grid())
        _SETTINGS["scale"] = 3.0
        f(grid())
        _SETTINGS["order"].append("c")
        f(grid())
        _SETTINGS["x"] = None
        f(grid())
    finally:
        _SETTINGS.update(scale=2.0, order=["a", "b"])
        _SETTINGS.pop("x", None)


@odd
def property_that_counts(r):
    net = Counted()
    Counted.made = 0
    f = r.compile(lambda x: net(x))
    for _ in range(3):
        f(grid())
        r.see(net.calls, Counted.made)
    net.calls = 10
    f(grid())


@odd
def class_attribute_and_own_attribute(r):
    class Net(nn.Module):
        bias = 1.0

        def forward(self, x):
            return x + self.bias + type(self).bias

    net = Net()
    f = r.compile(lambda x: net(x))
    f(grid())
    Net.bias = 2.0
    f(grid())
    net.bias = 10.0
    f(grid())
    del net.bias
    f(grid())


@odd
def method_replaced_on_the_object(r):
    net = Counted()
    f = r.compile(lambda x: net(x))
    f(grid())
    net.forward = types.MethodType(lambda self, x: x - self.scale, net)
    f(grid())
    del net.forward
    f(grid())
    net.scale = 7.0
    f(grid())


@odd
def function_of_a_module_replaced(r):
    made = types.SimpleNamespace(go=lambda x: x + 1)
    f = r.compile(lambda x: made.go(x) * 2)
    f(grid())
    made.go = lambda x: x - 1
    f(grid())
    made.go = torch.relu
    f(-grid())


@odd
def code_of_a_function_replaced(r):
    def helper(x):
        return x + 1

    f = r.compile(lambda x: helper(x) * 2)
    f(grid())
    helper.__code__ = (lambda x: x - 1).__code__
    f(grid())


@odd
def defaults_of_a_function_replaced(r):
    def helper(x, k=2.0, *, b=1.0):
        return x * k + b

    f = r.compile(lambda x: helper(x))
    f(grid())
    helper.__defaults__ = (5.0,)
    f(grid())
    helper.__kwdefaults__["b"] = -1.0
    f(grid())


@odd
def layer_replaced_in_a_list(r):
    net = nn.ModuleList([nn.Linear(3, 3), nn.Identity()])
    with torch.no_grad():
        net[0].weight.fill_(0.25)
        net[0].bias.fill_(0.5)

    def f(x):
        for layer in net:
            x = layer(x)
        return x

    f = r.compile(f)
    f(grid())
    net[1] = nn.ReLU()
    f(-grid())
    net.append(nn.Sigmoid())
    f(grid())
    del net[0]
    f(grid())


@odd
def parameter_replaced_and_moved(r):
    net = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        net.weight.fill_(0.5)
    f = r.compile(lambda x: net(x))
    f(grid())
    net.weight = nn.Parameter(torch.full((2, 3), 2.0))
    f(grid())
    net.weight.data = torch.full((2, 3), 3.0)
    f(grid())
    net.weight.requires_grad_(False)
    f(grid())
    net.double()
    f(grid().double())


@odd
def buffer_counts_the_calls(r):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))
            self.register_buffer("mean", torch.zeros(3), persistent=False)

        def forward(self, x):
            self.count += 1
            self.mean.lerp_(x.detach().mean(0), 0.5)
            return x * self.count - self.mean

    net = Net()
    f = r.compile(lambda x: net(x))
    for _ in range(3):
        f(grid())
        r.see(net.count, net.mean)
    net.count = torch.tensor(100)
    f(grid())


@odd
def hooks_come_and_go_again(r):
    notes = []
    net = nn.Linear(3, 3)
    with torch.no_grad():
        net.weight.copy_(torch.eye(3))
        net.bias.zero_()
    f = r.compile(lambda x: net(x))
    f(grid())
    handle = net.register_forward_hook(lambda m, a, out: notes.append(tuple(out.shape)) or out * 3)
    f(grid())
    pre = net.register_forward_pre_hook(lambda m, a: (a[0] + 1,))
    f(grid())
    handle.remove()
    pre.remove()
    f(grid())
    r.see(notes)


@odd
def hook_on_a_tensor_again(r):
    seen = []

    def f(x):
        y = x * 2
        if y.requires_grad:
            y.register_hook(lambda g: seen.append(g.sum().item()) or g * 10)
        return y.sin()

    f = r.compile(f)
    f(grid().requires_grad_())
    r.see(seen)
    f(grid().requires_grad_())
    r.see(seen)


@odd
def no_grad_toggled_inside(r):
    def f(x):
        with torch.no_grad():
            a = x * 2
        with torch.enable_grad():
            b = x * 3
        return a, b, a + b, torch.is_grad_enabled()

    f = r.compile(f)
    f(grid().requires_grad_())
    with torch.no_grad():
        f(grid().requires_grad_())


@odd
def default_dtype_changes_again(r):
    f = r.compile(lambda x: (torch.ones(2) * 0.1, torch.tensor(1.5), torch.arange(2) / 3, x + torch.zeros(3)))
    f(grid())
    torch.set_default_dtype(torch.float64)
    f(grid())
    torch.set_default_dtype(torch.float32)
    f(grid())


@odd
def default_device_changes_again(r):
    f = r.compile(lambda x: (torch.ones(2).device.type, torch.ones(2) + 1))
    f(grid())
    with torch.device("meta"):
        made = torch.ones(2)
    r.see(made.device.type)
    f(grid())


@odd
def warns_once_for_each_shape(r):
    def f(x):
        if x.shape[0] > 1:
            warnings.warn(f"{x.shape[0]} rows", stacklevel=1)
        return x * 2

    f = r.compile(f)
    f(grid())
    f(grid())
    f(grid()[:1])


@odd
def identity_and_equality(r):
    def f(x, other):
        return x is other, x.data_ptr() == other.data_ptr(), id(x) == id(other), x is not None, type(x) is torch.Tensor

    f = r.compile(f)
    x = grid()
    f(x, x)
    f(x, grid())
    f(x, x.view(2, 3))


@odd
def id_of_a_tensor_as_a_key(r):
    table = {}

    def f(x):
        table[id(x)] = table.get(id(x), 0) + 1
        return x * table[id(x)]

    f = r.compile(f)
    x = grid()
    f(x)
    f(x)
    y = grid()
    f(y)
    r.see(sorted(table.values()))
