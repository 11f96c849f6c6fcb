"""What was missing and appears, what was one and becomes two: partials, fallbacks, caught errors, views, locks."""

from __future__ import annotations

import collections
import functools
import os
import threading
import types

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd

_FACTOR = torch.tensor([1.0, 2.0, 3.0])
_LOCK = threading.RLock()


def _weighed(x, scale=1.0, shift=0.0, **more):
    return x * scale + shift + len(more), list(more)


class _Fallback:
    """Looks up in a table what it does not have."""

    def __init__(self, **table):
        self.table = table

    def __getattr__(self, name):
        try:
            return self.__dict__["table"][name]
        except KeyError:
            raise AttributeError(name) from None


class _Answers:
    answer = 2.0

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return _Answers.answer


@odd
def keywords_of_a_partial(r):
    p = functools.partial(_weighed, scale=2.0)
    f = r.compile(lambda x: p(x))
    f(grid())
    p.keywords["scale"] = 3.0
    f(grid())
    p.keywords["shift"] = 1.0
    f(grid())
    del p.keywords["scale"]
    f(grid())


@odd
def keywords_of_a_partial_in_order(r):
    p = functools.partial(_weighed, b=1, a=2)
    f = r.compile(lambda x: p(x))
    f(grid())
    p.keywords["b"] = p.keywords.pop("b")
    f(grid())
    p.keywords["c"] = 0
    f(grid())


@odd
def partial_of_a_partial(r):
    inner = functools.partial(_weighed, scale=2.0)
    table = {"p": functools.partial(inner, shift=1.0)}
    f = r.compile(lambda x: table["p"](x)[0])
    f(grid())
    table["p"].keywords["scale"] = 5.0
    f(grid())
    table["p"].keywords["extra"] = 5.0
    f(grid())


@odd
def partial_that_is_given(r):
    f = r.compile(lambda x, p: p(x)[0])
    p = functools.partial(_weighed, scale=2.0)
    f(grid(), p)
    p.keywords["shift"] = 4.0
    f(grid(), p)
    f(grid(), functools.partial(_weighed, scale=2.0, extra=1))


@odd
def partial_of_a_global(r):
    global _FACTOR
    _FACTOR = torch.tensor([1.0, 2.0, 3.0])
    p = functools.partial(torch.add, _FACTOR)

    def f(x):
        return p(x) * _FACTOR

    f = r.compile(f)
    f(grid())
    _FACTOR = torch.tensor([5.0, 5.0, 5.0])
    f(grid())
    p.args[0].mul_(2)
    f(grid())


@odd
def partial_called_with_what_it_holds(r):
    held = torch.ones(3)
    p = functools.partial(torch.mul, held)

    def f(x):
        x.add_(1)
        return p(x)

    f = r.compile(f)
    f(torch.full((3,), 2.0))
    f(held)
    r.see(held)


@odd
def attribute_that_a_fallback_finds_later(r):
    o = _Fallback()
    f = r.compile(lambda x: x * getattr(o, "scale", 1.0) + hasattr(o, "shift"))
    f(grid())
    o.table["scale"] = 3.0
    f(grid())
    o.shift = 1
    f(grid())
    del o.table["scale"]
    f(grid())


@odd
def fallback_that_answers_otherwise(r):
    o = _Answers()
    _Answers.answer = 2.0
    f = r.compile(lambda x: x * getattr(o, "scale", 1.0) + o.shift)
    f(grid())
    _Answers.answer = 5.0
    f(grid())
    o.shift = 0.5
    f(grid())


@odd
def fallback_that_is_caught(r):
    o = _Fallback(scale=2.0)

    def f(x):
        try:
            return x * o.rate
        except AttributeError:
            return x * o.scale

    f = r.compile(f)
    f(grid())
    o.table["rate"] = 9.0
    f(grid())


@odd
def key_that_a_set_lacks(r):
    names = {"a"}

    def f(x):
        try:
            names.remove("b")
        except KeyError:
            return x * 2
        return x * 3

    f = r.compile(f)
    f(grid())
    names.add("b")
    f(grid())
    r.see(names)
    f(grid())


@odd
def key_that_a_dict_lacks(r):
    table = {"a": 1.0}

    def f(x):
        try:
            return x * table.pop("b")
        except KeyError:
            return x

    f = r.compile(f)
    f(grid())
    table["b"] = 4.0
    f(grid())
    r.see(table)
    f(grid())


@odd
def item_that_is_caught(r):
    values, queue = [1.0], collections.deque()

    def f(x):
        try:
            x = x * values[1]
        except IndexError:
            x = x + 1
        try:
            return x * values.index(7.0), queue.popleft()
        except (ValueError, IndexError) as error:
            return x, type(error).__name__

    f = r.compile(f)
    f(grid())
    values.append(7.0)
    f(grid())
    queue.append(3.0)
    f(grid())
    f(grid())


@odd
def size_of_a_chain_of_dicts(r):
    first, second = {"a": 1.0}, {"a": 2.0, "b": 3.0}
    chain = collections.ChainMap(first, second)

    def f(x):
        return x * len(chain) + ("c" in chain), list(chain), bool(chain)

    f = r.compile(f)
    f(grid())
    second["c"] = 1.0
    f(grid())
    first["d"] = 1.0
    f(grid())
    chain.maps.append({"e": 0.0})
    f(grid())
    second.clear()
    f(grid())


@odd
def views_over_dicts(r):
    table = {"a": 1.0}
    keys, values, proxy = table.keys(), table.values(), types.MappingProxyType(table)

    def f(x):
        return x * len(keys) + sum(values), "b" in proxy, proxy.get("b", 0.0), list(table.items())

    f = r.compile(f)
    f(grid())
    table["b"] = 3.0
    f(grid())
    del table["a"]
    f(grid())


@odd
def nothing_is_computed(r):
    """No graph at all: what is returned is what was given, or a number."""
    a = types.SimpleNamespace(n=1)
    table, pair = {}, [a, a]

    def f(x):
        try:
            return table["k"]
        except KeyError:
            return getattr(a, "late", 5), pair[0] is pair[1], hasattr(a, "late")

    f = r.compile(f)
    f(grid())
    pair[1] = types.SimpleNamespace(n=1)
    f(grid())
    a.late = 7
    f(grid())
    table["k"] = 3
    f(grid())


class _Wrapper(torch.nn.Module):
    """Passes on what it does not have itself."""

    def __init__(self, module):
        super().__init__()
        self.inner = module

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.inner, name)

    def forward(self, x):
        return self.inner(x) * self.scale + self.weight.sum()


@odd
def wrapper_that_gets_its_own(r):
    wrapper = _Wrapper(torch.nn.Linear(3, 3))
    wrapper.inner.scale = 2.0
    f = r.compile(lambda x: wrapper(x))
    f(grid())
    wrapper.scale = 3.0
    f(grid())
    wrapper.weight = torch.nn.Parameter(torch.ones(1))
    f(grid())
    del wrapper.scale
    f(grid())


class _Base:
    rate = 2.0


class _Sub(_Base):
    pass


@odd
def class_attribute_that_appears(r):
    o = _Sub()

    def f(x):
        try:
            x = x * _Sub.late
        except AttributeError:
            x = x + 1
        return x * getattr(_Sub, "early", 1.0), hasattr(o, "early"), o.rate

    f = r.compile(f)
    try:
        f(grid())
        _Sub.early = 3.0
        f(grid())
        _Sub.late = 5.0
        f(grid())
        _Sub.rate = -1.0
        f(grid())
    finally:
        for name in ("early", "late", "rate"):
            if name in vars(_Sub):
                delattr(_Sub, name)
    f(grid())


@odd
def overflow_of_numpys_numbers(r):
    scale = np.float32(3e38)

    def f(x):
        bigger = scale * np.float32(10.0)
        return x * float(bigger), str(bigger)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def lock_that_is_held(r):
    seen = []

    def f(x):
        with _LOCK:
            got = _LOCK.acquire(blocking=False)
            seen.append(got)
            if got:
                _LOCK.release()
        return x * len(seen), got

    f = r.compile(f)
    f(grid())
    f(grid())
    r.see(seen)


@odd
def lock_that_another_holds(r):
    lock = threading.RLock()
    ready, over = threading.Event(), threading.Event()

    def hold():
        with lock:
            ready.set()
            over.wait(30)

    def f(x):
        if lock.acquire(blocking=False):
            lock.release()
            return x
        return x * 100

    f = r.compile(f)
    f(grid())
    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(30)
    f(grid())
    over.set()
    thread.join()
    f(grid())


@odd
def dict_that_grows_at_each_call(r):
    memory = {}

    def f(x, name):
        try:
            memory[name] += 1
        except KeyError:
            memory[name] = 1
        return x * memory[name] + len(memory)

    f = r.compile(f)
    for step in range(20):
        f(grid(), f"step {step % 15}")
    r.see(memory)


@odd
def order_of_keys(r):
    table = {"a": 1.0, "b": 2.0}

    def f(x):
        names = [*{**table}, *table]
        return x * (table | {"c": 3.0})[names[0]], names, f"{table}", list(dict(**table))

    f = r.compile(f)
    f(grid())
    table["a"] = table.pop("a")
    f(grid())
    table["d"] = 0.0
    f(grid())


@odd
def attributes_that_are_looked_at(r):
    holder = types.SimpleNamespace(a=1.0)

    def f(x):
        return x * vars(holder).get("b", 2.0) + len(holder.__dict__), list(vars(holder))

    f = r.compile(f)
    f(grid())
    holder.b = 5.0
    f(grid())
    del holder.a
    f(grid())


@odd
def lists_that_become_one(r):
    holder = types.SimpleNamespace(one=[], other=[])

    def f(x):
        holder.one.append(1.0)
        return x * (len(holder.other) + 1)

    f = r.compile(f)
    f(grid())
    holder.one = holder.other = []
    f(grid())
    f(grid())
    holder.other = list(holder.one)
    f(grid())


@odd
def objects_that_become_one(r):
    holder = types.SimpleNamespace(one=types.SimpleNamespace(n=1), other=types.SimpleNamespace(n=1))

    def f(x):
        print(holder.one.n)
        holder.one.n += 1
        return x * holder.other.n

    f = r.compile(f)
    f(grid())
    holder.one = holder.other = types.SimpleNamespace(n=1)
    f(grid())
    f(grid())
    holder.one = types.SimpleNamespace(n=holder.other.n)
    f(grid())


@odd
def variable_by_getenv(r):
    def f(x):
        return x * float(os.getenv("ODD_APPEARS", "2")), "ODD_APPEARS" in os.environ

    os.environ.pop("ODD_APPEARS", None)
    f = r.compile(f)
    f(grid())
    os.environ["ODD_APPEARS"] = "3"
    f(grid())
    del os.environ["ODD_APPEARS"]
    f(grid())


@odd
def missing_elsewhere(r):
    module, table = types.ModuleType("late"), collections.defaultdict()

    def f(x):
        try:
            x = x * module.scale
        except AttributeError:
            x = x * 2
        try:
            return x + table["shift"]
        except KeyError:
            return x

    f = r.compile(f)
    f(grid())
    module.scale = 3.0
    f(grid())
    table["shift"] = 1.0
    f(grid())
