"""Objects that live from call to call: banks, transactions, machines, caches."""

from __future__ import annotations

import abc
import collections
import dataclasses
import decimal
import fractions
import functools
import logging
import math
import operator
import typing

import torch

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


@odd
def bank_of_closures(r):
    def make(k):
        n = 0

        def step(x):
            nonlocal n
            n += 1
            return x * k + n

        step.count = lambda: n
        return step

    bank = [make(k) for k in (1.0, 2, torch.tensor(3.0))]

    def f(x, which):
        y = bank[which](x)
        bank.append(bank.pop(0))
        return y, [s.count() for s in bank]

    g = r.compile(f)
    for w in (0, 0, 1, 2, 0):
        g(grid(), w)
    bank[0] = make(10)
    g(grid(), 0)


@odd
def delegating_generators(r):
    log = []

    def leafs(t):
        if isinstance(t, (list, tuple)):
            n = 0
            for v in t:
                n += yield from leafs(v)
            return n
        log.append(type(t).__name__)
        yield t
        return 1

    def f(t):
        total, it = 0.0, leafs(t)
        while True:
            try:
                total = total + next(it)
            except StopIteration as s:
                return total, s.value

    g = r.compile(f)
    g([grid(), 1, (2.5, [grid(2.0)])])
    g((grid(),))
    g([])
    r.see(log)


@odd
def undo_on_error(r):
    class Tx:
        def __init__(self, d):
            self.d = d

        def __enter__(self):
            self.old = dict(self.d)
            return self.d

        def __exit__(self, kind, *_):
            if kind:
                self.d.clear()
                self.d.update(self.old)
            return False

    store = {"w": torch.ones(3), "n": 0}

    def f(x, bad):
        with Tx(store) as d:
            d["n"] += 1
            d["w"] = d["w"] + x.mean(0)
            if bad:
                raise ArithmeticError(d["n"], bad)
        return x * store["w"]

    g = r.compile(f)
    g(grid(), 0)
    g(grid(), "oops")
    r.see(store)
    g(grid(), 0)
    r.see(store)


@odd
def retry_decorator(r):
    def retry(times, kinds=(ValueError,)):
        def deco(fn):
            @functools.wraps(fn)
            def inner(x, *a):
                for attempt in range(times):
                    try:
                        return fn(x, attempt, *a)
                    except kinds as e:
                        LOG.warning("attempt %d: %s", attempt, e)
                        last = e
                raise RuntimeError("gave up") from last

            return inner

        return deco

    @retry(3, (ValueError, IndexError))
    def f(x, attempt, need):
        if attempt < need:
            raise [ValueError, IndexError][attempt % 2](f"not {attempt}")
        return x * attempt

    g = r.compile(f)
    for need in (0, 2, 5, 1):
        g(grid(), need)


@odd
def slots_and_properties(r):
    class P:
        __slots__ = ("__weakref__", "_v", "log")

        def __init__(self):
            self._v, self.log = 1.0, []

        @property
        def v(self):
            self.log.append("get")
            return self._v

        @v.setter
        def v(self, new):
            self.log.append(f"set {type(new).__name__}")
            self._v = max(new, 0) if not isinstance(new, torch.Tensor) else new.clamp(min=0)

        @v.deleter
        def v(self):
            self.log.append("del")
            self._v = -1

    p = P()

    def f(x, new):
        y = x * p.v
        if new is None:
            del p.v
        else:
            p.v = new
        return y + p.v

    g = r.compile(f)
    for new in (2, -3.0, torch.tensor([1.0, -1.0, 2.0]), None, 4):
        g(grid(), new)
    r.see(p.log, p._v)


@odd
def frozen_dataclass_tree(r):
    @dataclasses.dataclass(frozen=True)
    class Layer:
        w: torch.Tensor
        kind: str = "lin"
        sub: tuple = ()

        def __call__(self, x):
            for s in self.sub:
                x = s(x)
            return x * self.w if self.kind == "lin" else x + self.w

    tree = Layer(torch.tensor(2.0), sub=(Layer(torch.ones(3), "add"), Layer(torch.tensor(0.5))))

    def f(x, t):
        y = t(x)
        new = dataclasses.replace(t, w=t.w + y.mean().detach(), kind="add")
        try:
            t.w = y
        except dataclasses.FrozenInstanceError as e:
            return y, new(x), str(e)
        return None

    g = r.compile(f)
    g(grid(), tree)
    g(grid(), dataclasses.replace(tree, sub=tree.sub[::-1]))
    g(grid(), dataclasses.replace(tree, kind="other"))


@odd
def abstract_classes(r):
    class Base(abc.ABC):
        log: typing.ClassVar[list[str]] = []

        @abc.abstractmethod
        def go(self, x): ...

        def __init_subclass__(cls, scale=1, **kw):
            super().__init_subclass__(**kw)
            cls.scale = scale
            Base.log.append(cls.__name__)

    def f(x, k):
        class Impl(Base, scale=k):
            def go(self, x):
                return x * self.scale

        try:
            Base()
        except TypeError:
            Base.log.append("abstract")
        return Impl().go(x), issubclass(Impl, Base)

    g = r.compile(f)
    g(grid(), 2)
    g(grid(), 3.5)
    r.see(Base.log)


@odd
def partial_with_placeholders(r):
    def base(x, *a, k=1, **kw):
        return x * k + sum(a) + len(kw)

    p = functools.partial(base, k=2)
    q = functools.partial(p, z=3)

    def f(x, *a, **kw):
        return q(x, *a, **kw), p.func is base, q.keywords, functools.partialmethod(base).func is base

    g = r.compile(f)
    g(grid())
    g(grid(), 1, 2, k=5)
    q.keywords["k"] = 7
    g(grid())
    p.keywords["k"] = 9
    g(grid())
    q.keywords.clear()
    g(grid())


@odd
def cached_method_on_instance(r):
    class Model:
        def __init__(self, w):
            self.w = w

        @functools.cache  # noqa: B019
        def power(self, n):
            LOG.info("power %d", n)
            return self.w**n

        @functools.cached_property
        def total(self):
            LOG.info("total")
            return self.w.sum()

    m = Model(torch.tensor([1.0, 2.0, 3.0]))

    def f(x, n):
        return x * m.power(n) + m.total

    g = r.compile(f)
    g(grid(), 2)
    g(grid(), 3)
    m.w = torch.zeros(3)
    g(grid(), 2)
    del m.total
    g(grid(), 2)
    Model.power.cache_clear()
    g(grid(), 2)


@odd
def operator_getters(r):
    get = operator.attrgetter("shape", "dtype")
    item = operator.itemgetter(0, -1)
    call = operator.methodcaller("sum", dim=0)

    def f(x, d):
        s, t = get(x)
        a, b = item(x)
        d["k"] = operator.iadd(d["k"], a)
        x = operator.imul(x, 2)
        return s, t, call(x), a, b, operator.contains(d, "k"), operator.length_hint(x), operator.index(x[0, 0].int())

    g = r.compile(f)
    d = {"k": torch.zeros(3)}
    g(grid(), d)
    g(grid(3.0), d)
    r.see(d)


@odd
def match_with_state(r):
    class Machine:
        __match_args__ = ("state", "data")

        def __init__(self):
            self.state, self.data = "idle", torch.zeros(3)

    m = Machine()

    def f(event):
        match (m, event):
            case (Machine("idle"), ("load", x)):
                m.state, m.data = "ready", x
            case (Machine("ready", d), ("scale", int() | float() as k)):
                m.data = d * k
            case (Machine(state="ready"), ("done",)):
                m.state = "idle"
                return m.data.sum()
            case (_, unknown):
                return torch.tensor(float(len(unknown)))
        return m.data

    g = r.compile(f)
    for e in (("load", grid()), ("scale", 2), ("scale", "x"), ("scale", 0.5), ("done",), ("done", 1, 2)):
        g(e)
        r.see(m.state, m.data)


@odd
def class_counters_and_slots(r):
    class Counter:
        total = 0
        __slots__ = ("k",)

        def __init__(self, k):
            self.k = k
            type(self).total += 1

        def __del__(self):
            LOG.info("del")

        def __iadd__(self, o):
            self.k = self.k + o
            return self

        def __index__(self):
            return int(self.k)

        def __bool__(self):
            return self.k > 2

    def f(x, k):
        c = Counter(k)
        c += 1
        y = x[:, : c.__index__()] * (2 if c else 3)
        return y, range(10)[c], Counter.total

    g = r.compile(f)
    for k in (0, 1, 2, 2):
        g(grid(), k)
    r.see(Counter.total)
    Counter.total = 100
    g(grid(), 2)


@odd
def decimal_and_fraction(r):
    def f(x, s):
        d = decimal.Decimal(s) / 3
        q = fractions.Fraction(s).limit_denominator(7)
        with decimal.localcontext() as c:
            c.prec = 3
            e = decimal.Decimal(s) / 3
        return x * float(d) + q.numerator, str(e), round(q, 1) > 0, math.isclose(float(d), float(e), rel_tol=1e-2)

    g = r.compile(f)
    for s in ("1.25", "10", "0.333", "1.25"):
        g(grid(), s)


@odd
def deque_window_decides(r):
    window = collections.deque(maxlen=3)

    def f(x):
        window.append(x.mean().item())
        if len(window) == 3 and window[-1] < sum(window) / 3:
            window.rotate(1)
            window.extendleft([0.0])
            return x * -1
        return x + max(window)

    g = r.compile(f)
    for s in (1.0, 2.0, 3.0, 0.5, 0.1, 4.0):
        g(grid(s))
    r.see(list(window))


@odd
def list_slices_of_tensors(r):
    rows = [torch.full((3,), float(i)) for i in range(4)]

    def f(x):
        rows[1:3] = list(x)
        rows.insert(0, rows.pop())
        rows[::2] = [v * 2 for v in rows[::2]]
        rows.reverse()
        del rows[-1:]
        rows.extend([x.sum(0)])
        return torch.stack(rows), [i for i, v in enumerate(rows) if v is rows[2]], len(rows)

    g = r.compile(f)
    g(grid())
    g(grid(2.0))
    r.see(rows)
    a = rows[0]
    a.zero_()
    g(grid())
