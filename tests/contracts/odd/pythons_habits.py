"""Walrus, stars, defaults, metaclasses, weak references, order and text."""

from __future__ import annotations

import bisect
import contextvars
import copy
import gc
import logging
import threading
import weakref

import torch

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


@odd
def walrus_in_comprehensions(r):
    hist = []

    def f(x, ks):
        out = [y for k in ks if (y := x.sum() * k).item() > 10]
        total = sum((last := v) for v in out) if out else torch.zeros(())
        while (n := len(hist)) < 2:
            hist.append(n)
        return total, y, (last if out else None), n

    g = r.compile(f)
    g(grid(), (1, 0, 2))
    g(grid(), (0,))
    hist.clear()
    g(grid(2.0), [0.5, -1])
    g(grid(2.0), [])


@odd
def star_args_everywhere(r):
    def f(*xs, scale=1, **named):
        def inner(a, /, b=0, *c, d, e=2, **k):
            return a + b + sum(c) + d * e + sum(k.values())

        first, *mid = xs
        kw = {"d": scale, **named}
        return inner(first, *mid, **kw), inner(*reversed(xs), d=1), [*mid, *xs][-1]

    g = r.compile(f)
    g(grid())
    g(grid(), 1.5, 2, scale=3)
    g(grid(), grid(), e=4, z=5)
    g(grid(), d=2)
    g(grid(), a=2)
    g()


@odd
def default_dict_of_state(r):
    def f(x, state={"n": 0, "sum": None}, *, log=[]):  # noqa: B006
        state["n"] += 1
        state["sum"] = x if state["sum"] is None else state["sum"] + x
        log += [state["n"]]
        return state["sum"] / state["n"], log

    g = r.compile(f)
    g(grid())
    _ = g(grid(3.0))
    mine = {"n": 10, "sum": grid()}
    g(grid(), mine)
    r.see(mine, f.__defaults__[0], f.__kwdefaults__)
    f.__kwdefaults__ = {"log": ["new"]}
    g(grid())
    f.__defaults__ = None
    g(grid())


class _Registry(type):
    def __new__(mcs, name, bases, ns, **kw):
        cls = super().__new__(mcs, name, bases, ns)
        cls.table = dict(getattr(cls, "table", {}))
        if "key" in kw:
            cls.table[kw["key"]] = cls
        return cls

    def __getitem__(cls, key):
        return cls.table[key]

    def __call__(cls, *a):
        obj = super().__call__(*a)
        cls.count = cls.__dict__.get("count", 0) + 1
        return obj

    def __len__(cls):
        return len(cls.table)


class _Op(metaclass=_Registry):
    def __init__(self, k=1):
        self.k = k

    def __call__(self, x):
        return x * self.k


class _Shift(_Op, metaclass=_Registry, key="shift"):
    def __call__(self, x):
        return super().__call__(x) + self.k


@odd
def metaclass_registry(r):
    _Shift.count = 0

    def f(x, key, k):
        op = _Shift[key](k)
        return op(x) + type(op).count, len(_Shift), type(op) is _Shift

    g = r.compile(f)
    g(grid(), "shift", 2)
    g(grid(), "shift", 2.5)
    g(grid(), "none", 2)
    _Shift.table["none"] = _Op
    g(grid(), "none", 2)
    _Shift.__call__, old = (lambda self, x: x - self.k), _Shift.__call__
    g(grid(), "shift", 2)
    _Shift.__call__ = old
    del _Shift.table["none"]
    r.see(_Shift.count, _Op.count)
    del _Op.count


@odd
def weakrefs_and_finalizers(r):
    log = []

    class Node:
        def __init__(self, t):
            self.t = t

    alive = weakref.WeakSet()
    keep = []

    def f(x, hold):
        n = Node(x * 2)
        weakref.finalize(n, log.append, "gone")
        alive.add(n)
        ref = weakref.ref(n, lambda _: log.append("ref"))
        if hold:
            keep.append(n)
        y = ref().t + 1
        del n
        log.append(("after", ref() is None))
        return y

    g = r.compile(f)
    g(grid(), True)
    gc.collect()
    r.see(log, len(alive))
    g(grid(), False)
    gc.collect()
    r.see(log, len(alive))
    keep.clear()
    gc.collect()
    r.see(log, len(alive))


@odd
def contextvar_tokens(r):
    scale = contextvars.ContextVar("scale", default=1.0)
    trace = contextvars.ContextVar("trace")

    def inner(x):
        trace.set((*trace.get(()), scale.get()))
        return x * scale.get()

    def f(x, k):
        token = scale.set(k)
        try:
            y = inner(x)
            scale.set(k + 1)
            y = y + inner(x)
        finally:
            scale.reset(token)
        return y + inner(x)

    g = r.compile(f)
    g(grid(), 2.0)
    r.see(scale.get(), trace.get(None))
    ctx = contextvars.copy_context()
    ctx.run(lambda: (scale.set(9.0), g(grid(), 3.0)))
    r.see(scale.get(), ctx[scale], trace.get(None))
    scale.set(4.0)
    g(grid(), 2.0)


@odd
def thread_local_and_lock(r):
    local = threading.local()
    local.k = 2
    lock = threading.RLock()
    log = []

    def f(x):
        with lock, lock:
            local.k = getattr(local, "k", 10) + 1
            log.append((threading.current_thread().name == "MainThread", local.k))
            return x * local.k

    g = r.compile(f)
    g(grid())
    t = threading.Thread(target=lambda: log.append(f(grid()).sum().item()))
    t.start()
    t.join()
    g(grid())
    r.see(log, local.k, lock.acquire(blocking=False))


@odd
def identity_and_hash_of_tensors(r):
    seen: dict[torch.Tensor, int] = {}

    def f(x, y):
        seen[x] = seen.get(x, 0) + 1
        z = x if x is y else x + y
        key = {id(x): "x", id(y): "y"}[id(z)] if x is y else "z"
        return z, key, len({x, y, x}), x in {y: 1}, (z is x), any(t is y for t in [x])

    g = r.compile(f)
    a, b = grid(), grid(2.0)
    g(a, a)
    g(a, b)
    g(b, b)
    g(a, a.view(2, 3))
    r.see(list(seen.values()))


@odd
def sorting_by_keys(r):
    def f(x, names):
        cols = {n: x[:, i].sum() for i, n in enumerate(names)}
        order = sorted(cols, key=lambda n: (-len(n), n))
        by_val = sorted(cols.items(), key=lambda kv: kv[1].item(), reverse=True)
        top = max(cols, key=cols.get)
        best = min(cols.values())
        i = bisect.bisect([0.0, 5.0, 7.5, 10.0], best)
        return [cols[n] for n in order], by_val, top, i, x * i

    g = r.compile(f)
    g(grid(), ["b", "aa", "c"])
    g(-grid(), ["b", "aa", "c"])
    g(grid(), ["zz", "y"])


@odd
def format_specs_of_tensors(r):
    def f(x, width):
        s = x.sum()
        a = f"{s:{width}.{width - 6}f}|{x[0, 0]!r}|{s.item():e}"
        b = "{:>10}|{:.1%}".format(str(x.shape[0]), s.item() / 100)
        LOG.info("sum %s of %d", a, x.numel())
        return s, a, b, "%.3g" % s, f"{x.dtype}{x.device!s:>6}", f"{x}"

    g = r.compile(f)
    g(grid(), 8)
    g(grid(0.1), 9)
    g(grid().to(torch.int64), 8)
    g(grid(), 7)


@odd
def newton_until_it_converges(r):
    log = []

    def f(x, tol):
        y = x.clone()
        for i in range(50):
            new = 0.5 * (y + x / y)
            done = (new - y).abs().max() < tol
            y = new
            if i % 2:
                log.append(round(y.sum().item(), 4))
            if done:
                break
        else:
            LOG.warning("never")
        return y, i

    g = r.compile(f)
    g(grid(), 1e-3)
    g(grid(100.0), 1e-3)
    g(grid(), 0.0)
    r.see(log[:40])


@odd
def copy_protocols(r):
    class Box:
        def __init__(self, t):
            self.t, self.log = t, []

        def __copy__(self):
            self.log.append("copy")
            new = Box(self.t)
            new.log = self.log
            return new

        def __deepcopy__(self, memo):
            self.log.append(("deep", len(memo)))
            return Box(copy.deepcopy(self.t, memo))

    b = Box(grid())

    def f(x):
        c = copy.copy(b)
        d = copy.deepcopy([b, b])
        c.t += 1
        d[0].t.mul_(x)
        return c.t, d[0].t, d[0] is d[1], c.t is b.t

    g = r.compile(f)
    g(grid())
    g(grid(2.0))
    r.see(b.t, b.log)
