"""What the standard library does inside: dispatch, iterators, threads, coroutines, patterns, warnings, logs."""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import enum
import functools
import itertools
import logging
import operator
import threading
import warnings
import weakref

import torch

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


@odd
def cached_property_and_slots(r):
    class Stats:
        def __init__(self, x):
            self.x, self.reads = x, 0

        @functools.cached_property
        def mean(self):
            self.reads += 1
            return self.x.mean()

        @property
        def twice(self):
            self.reads += 1
            return self.x * 2

        @twice.setter
        def twice(self, v):
            self.x = v / 2

    class Slim:
        __slots__ = ("a", "hits")

        def __init__(self):
            self.a, self.hits = 1.0, 0

    slim = Slim()

    def f(s):
        slim.hits += 1
        slim.a = slim.a * 2
        y = s.mean + s.mean + s.twice.sum()
        s.twice = s.x * slim.a
        return y + s.x

    g = r.compile(f)
    for _ in range(3):
        s = Stats(grid())
        g(s)
        g(s)
        r.see(s.reads, s.x, "mean" in vars(s), slim.a, slim.hits)


@odd
def singledispatch(r):
    seen = []

    @functools.singledispatch
    def go(v, x):
        seen.append("object")
        return x

    @go.register
    def _(v: int, x):
        seen.append("int")
        return x + v

    @go.register(list)
    def _(v, x):
        seen.append("list")
        return functools.reduce(operator.add, [go(e, x) for e in v], x)

    @go.register
    def _(v: torch.Tensor, x):
        seen.append("tensor")
        return x * v

    def f(x, v):
        return go(v, x)

    g = r.compile(f)
    for v in (1, "s", [1, torch.tensor(2.0)], torch.ones(3), True, None):
        g(grid(), v)
    go.register(str, lambda v, x: x * len(v))
    g(grid(), "four")
    r.see(seen)


@odd
def itertools_inside(r):
    def f(x, n):
        rows = list(x)
        acc = list(itertools.accumulate(rows, lambda a, b: a * 2 + b))
        pairs = [a + b for a, b in itertools.pairwise(rows + acc)]
        prod = sum(a * float(b) for a, b in itertools.product([1.0, 2.0], range(n)))
        chained = torch.stack(list(itertools.chain.from_iterable([rows, acc])))
        groups = {k: len(list(v)) for k, v in itertools.groupby([1, 1, 2, 3, 3][:n])}
        tee = itertools.tee(rows)
        first = next(tee[0])
        rest = [t.sum() for t in tee[1]]
        z = list(itertools.zip_longest(rows, [1], fillvalue=7))
        star = list(itertools.starmap(torch.add, zip(rows, acc, strict=False)))
        return acc, pairs, prod, chained, groups, first, rest, z, star

    g = r.compile(f)
    g(grid(), 3)
    g(grid(), 5)
    g(torch.ones(4, 2), 1)


@odd
def thread_local_and_contextvars(r):
    local = threading.local()
    var = contextvars.ContextVar("exam", default=1.0)

    def f(x):
        local.n = getattr(local, "n", 0) + 1
        token = var.set(var.get() * 2)
        y = x * var.get() + local.n
        if local.n % 2:
            var.reset(token)
        return y

    g = r.compile(f)
    for _ in range(3):
        g(grid())
        r.see(local.n, var.get())
    results = []
    t = threading.Thread(target=lambda: results.append(getattr(local, "n", "none")))
    t.start()
    t.join()
    r.see(results)


@odd
def async_driven_by_hand(r):
    order = []

    async def part(x, k):
        order.append(k)
        return x * k

    async def whole(x):
        a = await part(x, 2)
        b = await part(a, 3)
        return a + b

    def f(x):
        coro = whole(x)
        try:
            coro.send(None)
        except StopIteration as stop:
            return stop.value

    g = r.compile(f)
    g(grid())
    g(grid(0.5))
    r.see(order)


@odd
def asyncio_run(r):
    async def one(x, k):
        await asyncio.sleep(0)
        return x + k

    async def both(x):
        return await asyncio.gather(one(x, 1), one(x, 2))

    def f(x):
        a, b = asyncio.run(both(x))
        return a * b

    g = r.compile(f)
    g(grid())
    g(grid(2.0))


@odd
def match_statements(r):
    @dataclasses.dataclass
    class Op:
        kind: str
        args: tuple = ()

    class Color(enum.Enum):
        RED = 1
        BLUE = 2

    def f(x, op):
        match op:
            case Op("scale", (k,)):
                return x * k
            case Op(kind="add", args=[a, b, *rest]) if len(rest) < 2:
                return x + a + b + len(rest)
            case {"power": int(p) | float(p), **others}:
                return x**p + len(others)
            case [first, *_, last]:
                return x[first] + x[last]
            case Color.RED | Color.BLUE as c:
                return x * c.value
            case torch.Tensor(shape=(n, m)):
                return x * n + m
            case str() as s if s.isdigit():
                return x + int(s)
            case None | False:
                return -x
        raise ValueError(f"no case for {op!r}")

    g = r.compile(f)
    for op in (
        Op("scale", (3,)),
        Op("add", (1, 2.0, 3)),
        {"power": 2, "more": 1},
        [0, 5, 1],
        Color.BLUE,
        torch.ones(4, 2),
        "12",
        None,
        "x",
        Op("none"),
    ):
        g(grid(), op)


@odd
def walrus_star_and_unpacking(r):
    def f(x, *rest, named=1, **others):
        if (n := len(rest)) > 1 and (m := rest[-1]) is not None:
            _, *middle, last = (*rest, m)
            y = x + n + len(middle)
        else:
            y = x
            last = 0
        [a, (b, *c)] = [1, (2, 3, 4)]
        merged = {**others, "n": n, **{"a": a}}
        values = [w for v in merged.values() if (w := v) != 2]
        return y + last + named + b + sum(c), dict(sorted(merged.items())), values

    g = r.compile(f)
    g(grid())
    g(grid(), 1, 2.5)
    g(grid(), 1, None)
    g(grid(), 1, 2, 3, named=0.5, z=torch.tensor(1.0), k=2)


@odd
def warnings_inside(r):
    def f(x, loud):
        if loud:
            warnings.warn("loud %d" % x.shape[0], UserWarning, stacklevel=2)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.warn("inner", DeprecationWarning, stacklevel=1)
        return x * len(caught)

    g = r.compile(f)
    for loud in (True, False, True):
        g(grid(), loud)


@odd
def logging_with_values(r):
    def f(x, step):
        LOG.debug("step %s", step)
        y = x.softmax(-1)
        LOG.info("max %.4f", y.max())
        if LOG.isEnabledFor(logging.WARNING) and y.max() > 0.9:
            LOG.warning("peaked: %s", [round(v, 3) for v in y.max(-1).values.tolist()])
        return y

    g = r.compile(f)
    for step in range(3):
        g(grid(1.0 + 3 * step), step)
    LOG.setLevel(logging.ERROR)
    g(grid(9.0), 9)
    LOG.setLevel(logging.DEBUG)
    g(grid(9.0), 10)


@odd
def weak_references(r):
    class Node:
        def __init__(self, v):
            self.v = v

    alive = weakref.WeakValueDictionary()
    keys = weakref.WeakKeyDictionary()
    died = []
    hold = Node(3.0)
    alive["hold"] = hold
    keys[hold] = 2.0
    ref = weakref.ref(hold, lambda _: died.append(1))

    def f(x):
        node = ref()
        if node is None:
            return x - 1, len(alive), len(keys)
        return x * node.v * keys[node], len(alive), len(keys)

    g = r.compile(f)
    g(grid())
    hold.v = 4.0
    g(grid())
    del hold
    g(grid())
    r.see(died, len(alive))
