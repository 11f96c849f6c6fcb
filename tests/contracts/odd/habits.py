"""Habits that surprise under a compiler: references, copies, caches, counters, errors, numbers, containers."""

from __future__ import annotations

import collections
import contextvars
import copy
import dataclasses
import functools
import itertools
import math
import threading
import types
import weakref

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_DEPTH = contextvars.ContextVar("depth", default=1.0)


@dataclasses.dataclass
class State:
    step: int = 0
    history: list = dataclasses.field(default_factory=list)

    @property
    def mean(self):
        return sum(self.history) / max(1, len(self.history))


@odd
def weak_reference_to_a_tensor(r):
    kept = torch.full((3,), 2.0)
    pointer = weakref.ref(kept)

    def f(x):
        alive = pointer()
        return x if alive is None else x * alive

    f = r.compile(f)
    f(grid())
    kept.mul_(3)
    f(grid())
    del kept
    f(grid())


@odd
def weak_dict_of_objects(r):
    class Thing:
        scale = 3.0

    things = weakref.WeakValueDictionary()
    thing = things["one"] = Thing()

    def f(x):
        found = things.get("one")
        return x * found.scale if found is not None else x

    f = r.compile(f)
    f(grid())
    thing.scale = 5.0
    f(grid())
    del thing
    f(grid())


@odd
def deep_copies_inside(r):
    base = {"w": torch.ones(3), "n": [1, 2]}

    def f(x):
        mine = copy.deepcopy(base["n"])
        mine.append(len(mine))
        other = copy.copy(base)
        other["w"] = x[0] * 2
        return x * sum(mine), other["w"], len(base["n"])

    f = r.compile(f)
    f(grid())
    base["n"].append(10)
    f(grid())
    r.see(base)


@odd
def copies_of_a_module_drift_apart(r):
    net = nn.Linear(3, 1, bias=False)
    with torch.no_grad():
        net.weight.fill_(1.0)
    twin = copy.deepcopy(net)
    f = r.compile(lambda x: net(x) - twin(x))
    f(grid())
    with torch.no_grad():
        twin.weight.fill_(0.5)
    f(grid())
    twin.load_state_dict(net.state_dict())
    f(grid())


@odd
def thread_local_values(r):
    local = threading.local()
    local.k = 2.0
    f = r.compile(lambda x: x * getattr(local, "k", 100.0))
    f(grid())
    local.k = 3.0
    f(grid())
    worker = threading.Thread(target=lambda: f(grid()))
    worker.start()
    worker.join()
    f(grid())


@odd
def context_variable_again(r):
    f = r.compile(lambda x: x * _DEPTH.get())
    f(grid())
    token = _DEPTH.set(4.0)
    f(grid())
    _DEPTH.reset(token)
    f(grid())


@odd
def counter_of_itertools(r):
    calls = itertools.count(1)
    f = r.compile(lambda x: x * next(calls))
    for _ in range(3):
        f(grid())
    r.see(next(calls))


@odd
def generator_kept_between_calls(r):
    numbers = (k * k for k in range(5))
    f = r.compile(lambda x: x * next(numbers, 100.0))
    for _ in range(3):
        f(grid())
    r.see(next(numbers))
    for _ in range(3):
        f(grid())


@odd
def iterator_of_zip_and_map(r):
    def f(xs, ks):
        total = 0
        for (i, x), k in zip(enumerate(xs), map(float, ks), strict=False):
            total = total + x * k * i
        return total, list(itertools.accumulate(ks)), dict(zip(ks, xs, strict=False))

    f = r.compile(f)
    f([torch.ones(2), torch.ones(2) * 2], ["1", "2.5"])
    f([torch.ones(2), torch.ones(2) * 2, torch.ones(2)], ["1", "2.5", "4"])


@odd
def caches_with_state(r):
    calls = []

    @functools.cache
    def table(n):
        calls.append(n)
        return torch.arange(float(n)) * len(calls)

    f = r.compile(lambda x: x + table(x.shape[-1]))
    f(grid())
    f(grid())
    table.cache_clear()
    f(grid())
    r.see(calls)


@odd
def cached_property_reset(r):
    class Net(nn.Module):
        scale = 2.0

        @functools.cached_property
        def twice(self):
            return self.scale * 2

        def forward(self, x):
            return x * self.twice

    net = Net()
    f = r.compile(lambda x: net(x))
    f(grid())
    net.scale = 5.0
    f(grid())
    del net.twice
    f(grid())


@odd
def partial_and_its_keywords(r):
    step = functools.partial(torch.clamp, min=0.0)
    f = r.compile(lambda x: step(x - 3, max=2.0))
    f(grid())
    step.keywords["min"] = -1.0
    f(grid())


@odd
def dispatch_on_a_kind(r):
    @functools.singledispatch
    def scaled(k, x):
        return x

    @scaled.register
    def _(k: int, x):
        return x * k

    f = r.compile(lambda x, k: scaled(k, x))
    f(grid(), 2)
    f(grid(), 2.0)
    scaled.register(float, lambda k, x: x - k)
    f(grid(), 2.0)


@odd
def dataclass_is_mutated(r):
    state = State()

    def f(x):
        state.step += 1
        state.history.append(float(state.step))
        return x * state.mean, dataclasses.replace(state, step=0).step, state.step

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(state)
    state.history.clear()
    f(grid())


@odd
def numpy_shares_memory_again(r):
    array = np.zeros((2, 3), dtype=np.float32)
    x = torch.from_numpy(array)
    f = r.compile(lambda x: x + 1)
    f(x)
    array[:] = 5
    f(x)
    g = r.compile(lambda x: x.mul_(2))
    g(x)
    r.see(array)


@odd
def numpy_inside(r):
    def f(x):
        array = np.asarray([1.0, 2.0, 3.0], dtype=np.float32)
        return x * torch.from_numpy(array) + float(np.mean(array)), array.shape, np.float32(2) * x

    f = r.compile(f)
    f(grid())
    f(grid() * 2)


@odd
def exception_caught_and_state_undone(r):
    notes = []

    def f(x, k):
        notes.append("begin")
        try:
            x = x * 2
            if k == 0:
                raise ZeroDivisionError("no k")
            return x / k
        except ZeroDivisionError as error:
            notes.append(str(error))
            return x
        finally:
            notes.append("end")

    f = r.compile(f)
    for k in (2, 0, 4):
        f(grid(), k)
        r.see(notes)


@odd
def error_of_a_shape_caught(r):
    def f(x, y):
        try:
            return x + y
        except RuntimeError:
            return x.sum() + y.sum()

    f = r.compile(f)
    f(grid(), torch.ones(3))
    f(grid(), torch.ones(4))
    f(grid(), torch.ones(3))


@odd
def error_leaves_half_the_effects(r):
    items = []

    def f(x, fails):
        items.append(x.sum())
        x.add_(1)
        if fails:
            raise KeyError("late")
        return x * len(items)

    f = r.compile(f)
    for fails in (False, True, False):
        x = grid()
        f(x, fails)
        r.see(x, items)


@odd
def strings_of_tensors(r):
    def f(x):
        return x * 2, f"{x.shape} {x.dtype}", repr(x), str(x.sum()), f"{x.sum().item():.3f}", len(repr(x.tolist()))

    f = r.compile(f)
    f(grid())
    f(grid(-1.0))


@odd
def recursion_over_a_tree(r):
    def total(tree):
        if isinstance(tree, dict):
            return sum(total(t) for t in tree.values())
        if isinstance(tree, (list, tuple)):
            return sum((total(t) for t in tree), start=torch.zeros(3))
        return tree

    f = r.compile(lambda tree: total(tree))
    f({"a": torch.ones(3), "b": [torch.ones(3), (torch.ones(3), {"c": torch.ones(3)})]})
    f([torch.ones(3), {"d": torch.ones(3)}])
    f({})


@odd
def attribute_made_on_demand(r):
    class Lazy:
        def __init__(self):
            self.asked = []

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            self.asked.append(name)
            value = float(len(name))
            setattr(self, name, value)
            return value

    lazy = Lazy()
    f = r.compile(lambda x: x * lazy.abc + lazy.abc)
    f(grid())
    f(grid())
    lazy.abc = 10.0
    f(grid())
    r.see(lazy.abc)


@odd
def slots_and_descriptors(r):
    class Positive:
        def __set_name__(self, owner, name):
            self.name = "_" + name

        def __get__(self, instance, owner=None):
            return getattr(instance, self.name)

        def __set__(self, instance, value):
            setattr(instance, self.name, abs(value))

    class Box:
        __slots__ = ("_k",)
        k = Positive()

    box = Box()
    box.k = -2.0

    def f(x):
        y = x * box.k
        box.k = -(box.k + 1)
        return y

    f = r.compile(f)
    for _ in range(3):
        f(grid())
    r.see(box.k)


@odd
def operators_of_the_users(r):
    class Scale:
        def __init__(self, k):
            self.k, self.used = k, 0

        def __rmatmul__(self, x):
            self.used += 1
            return x * self.k

        def __call__(self, x):
            return x @ self

        def __bool__(self):
            return self.k > 1

        def __len__(self):
            return 7

    scale = Scale(2.0)
    f = r.compile(lambda x: scale(x) + len(scale) if scale else x)
    f(grid())
    scale.k = 0.5
    f(grid())
    scale.k = 3.0
    f(grid())
    r.see(scale.used)


@odd
def numbers_that_grow(r):
    f = r.compile(lambda x, n: (x * n, n // 2, n % 3, n**2, math.sqrt(abs(n)), divmod(n, 4), -n, n.bit_length()))
    for n in (0, 1, 2, 3, 17, -5, 2**31, 2**62):
        f(grid(), n)


@odd
def floats_that_are_odd(r):
    f = r.compile(lambda x, k: (x * k, k != k, math.copysign(1.0, k), k.is_integer(), x + k, x.clamp(max=k)))
    for k in (1.0, 0.0, -2.0, 1e-45, 0.1):
        f(grid(), k)


@odd
def float_too_large(r):
    f = r.compile(lambda x, k: x.clamp(max=k))
    for k in (1.0, 2.0, 1e308):
        f(grid(), k)


@odd
def zeros_with_a_sign(r):
    f = r.compile(lambda x, k: (x * k, math.copysign(1.0, k), -k, math.atan2(0.0, k)))
    for k in (1.0, 0.0, -0.0, 2.0, -0.0):
        f(grid(), k)


@odd
def shapes_as_values(r):
    def f(x):
        rows, *rest = x.shape
        size = x.size()
        return x.reshape(-1, rows), size == (2, 3), list(size), size.numel(), tuple(rest), x.new_zeros(size[::-1])

    f = r.compile(f)
    f(grid())
    f(torch.ones(4, 3))
    f(torch.ones(1, 1))


@odd
def tensor_attribute_attached(r):
    def f(x):
        scale = getattr(x, "scale", 1.0)
        y = x * scale
        y.origin = "made"
        return y

    f = r.compile(f)
    out = f(grid())
    r.see(getattr(out, "origin", None))
    x = grid()
    x.scale = 4.0
    f(x)
    x.scale = 5.0
    f(x)


@odd
def unpacking_into_attributes(r):
    box = types.SimpleNamespace(a=None, b=None, items={})

    def f(x):
        (box.a, box.b), *rest = torch.unbind(x), 3
        box.items["sum"], box.items[1] = x.sum(), rest[0]
        return box.a + box.b

    f = r.compile(f)
    f(grid())
    r.see(box.a, box.b, box.items)
    f(grid(-1.0))
    r.see(box.a, box.items)


@odd
def walrus_and_chained_comparison(r):
    def f(x, k):
        if (n := x.shape[0] * k) > 3 and 0 < k <= 10 != n:
            return x[: n // 3], n
        return x * (n := n + 1), n

    f = r.compile(f)
    for k in (1, 2, 10, 11):
        f(grid(), k)


@odd
def global_function_patched_for_a_call(r):
    space = globals()
    f = r.compile(lambda x: _remember_nothing(x) + 1)
    f(grid())
    before = space["_remember_nothing"]
    space["_remember_nothing"] = lambda x: x * 100
    try:
        f(grid())
    finally:
        space["_remember_nothing"] = before
    f(grid())


def _remember_nothing(x):
    return x * 1.0


@odd
def counter_and_defaultdict(r):
    counts, groups = collections.Counter(), collections.defaultdict(list)

    def f(x, name):
        counts[name] += 1
        groups[name].append(x.shape[0])
        return x * counts[name] + sum(groups[name]), counts.most_common(1), groups["nobody"]

    f = r.compile(f)
    for name in ("a", "b", "a"):
        f(grid(), name)
    r.see(dict(counts), dict(groups))


@odd
def deque_of_the_last(r):
    last = collections.deque(maxlen=2)

    def f(x):
        last.append(x.detach().sum())
        return x * len(last), sum(last)

    f = r.compile(f)
    for k in (1.0, 2.0, 3.0):
        f(grid() * k)
    r.see(last)


@odd
def training_mode_flipped_inside(r):
    net = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    with torch.no_grad():
        net[0].weight.copy_(torch.eye(3))
        net[0].bias.zero_()

    def f(x):
        was = net.training
        net.eval()
        quiet = net(x)
        net.train(was)
        return quiet, net.training

    f = r.compile(f)
    f(grid())
    r.see(net.training, net[1].training)
    net.eval()
    f(grid())
    r.see(net.training)


@odd
def state_dict_loaded_between_calls(r):
    net = nn.Linear(3, 1)
    saved = {"weight": torch.full((1, 3), 2.0), "bias": torch.zeros(1)}
    f = r.compile(lambda x: net(x) * 0 + net.weight.sum())
    net.load_state_dict(saved)
    f(grid())
    saved["weight"].fill_(3.0)
    f(grid())
    net.load_state_dict(saved, assign=True)
    f(grid())
    saved["weight"].fill_(4.0)
    f(grid())
