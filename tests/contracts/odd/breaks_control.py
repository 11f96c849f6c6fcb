"""Side effects around what stops a capture: closures, generators, exceptions, contexts, decorators."""

from __future__ import annotations

import contextlib
import functools
import logging

import torch

from tests.contracts.odd.recorder import grid, odd

LOG = logging.getLogger("odd")


@odd
def counter_in_closure_pair(r):
    calls = 0
    best = None

    def bump(by=1):
        nonlocal calls
        calls += by
        return calls

    def f(x):
        nonlocal best
        bump()
        v = float(x.mean())
        if best is None or v > best:
            best = v
            bump(10)
        return x * calls

    g = r.compile(f)
    for s in (1.0, 0.5, 2.0):
        g(grid(s))
        r.see(calls, best)


@odd
def generator_sent_values(r):
    def running():
        total = 0
        while True:
            x = yield total
            if x is None:
                return
            total = total + x

    gen = running()
    next(gen)

    def f(x):
        try:
            return gen.send(x * 2)
        except StopIteration:
            return x

    g = r.compile(f)
    for k in range(3):
        g(grid() + k)
    gen.close()
    g(grid())


@odd
def generator_local_send_throw(r):
    log = []

    def worker(x):
        scale = 1.0
        try:
            while True:
                try:
                    got = yield x * scale
                    scale = scale + got
                except ValueError as e:
                    log.append(str(e))
                    scale = -1.0
        finally:
            log.append("closed")

    def f(x):
        w = worker(x)
        a = next(w)
        b = w.send(2)
        c = w.throw(ValueError("neg"))
        d = w.send(0.5)
        w.close()
        return a, b, c, d

    g = r.compile(f)
    g(grid())
    g(grid(2.0))
    r.see(log)


@odd
def finally_and_return(r):
    order = []

    def f(x, k):
        try:
            order.append("try")
            if k == 0:
                return x + 1
            if k == 1:
                raise KeyError("k")
            if k == 2:
                return x @ x
            y = x * 2
        except KeyError:
            order.append("except")
            y = x * 3
        except RuntimeError as e:
            order.append(type(e).__name__)
            raise ValueError("wrapped") from e
        else:
            order.append("else")
            y = y + 1
        finally:
            order.append("finally")
            if k == 4:
                return x.zero_()  # noqa: B012 - it is what is tried
        return y

    g = r.compile(f)
    for k in (0, 1, 2, 3, 4, 1):
        g(grid(), k)
    r.see(order)


@odd
def suppress_and_callbacks(r):
    out = []

    def f(x, i):
        with contextlib.ExitStack() as stack:
            stack.callback(out.append, ("cb", i))
            stack.enter_context(contextlib.suppress(IndexError, ZeroDivisionError))
            stack.push(lambda *e: out.append(e[0].__name__ if e[0] else None))
            y = x / (1 // i)
            y = y + [1, 2, 3][i]
            out.append("end")
            return y
        return x - 100

    g = r.compile(f)
    for i in (1, 0, 5, 2, 1):
        g(grid(), i)
    r.see(out)


@odd
def manager_that_changes_state(r):
    depth = [0]

    @contextlib.contextmanager
    def nested(name):
        depth[0] += 1
        LOG.info("enter %s at %d", name, depth[0])
        try:
            yield depth[0]
        except RuntimeError:
            LOG.warning("swallowed in %s", name)
        finally:
            depth[0] -= 1
            LOG.info("leave %s", name)

    def f(x, w):
        y = None
        with nested("a") as a, nested("b") as b:
            y = x * a + b
            y = y @ w
        return (x if y is None else y), depth[0]

    g = r.compile(f)
    g(grid(), torch.ones(3, 2))
    g(grid(), torch.ones(2, 2))
    g(grid(), torch.ones(3, 1))
    r.see(depth)


@odd
def decorator_counts(r):
    def counted(fn):
        @functools.wraps(fn)
        def wrapper(*args, **kw):
            wrapper.calls += 1
            wrapper.last = kw
            return fn(*args, **kw)

        wrapper.calls = 0
        return wrapper

    @counted
    def scale(x, *, by=2):
        return x * by

    @counted
    def f(x, **kw):
        return scale(x, **kw) + scale(x) * scale.calls

    g = r.compile(f)
    g(grid())
    g(grid(), by=3)
    g(grid())
    r.see(f.calls, scale.calls, scale.last, f.last, f.__name__, f.__wrapped__ is not None)


@odd
def lambdas_in_a_loop(r):
    late = [lambda x: x * i for i in range(3)]
    early = [lambda x, i=i: x * i for i in range(3)]

    def f(x):
        made = []
        for k in range(3):
            made.append(lambda y: y + k)  # noqa: PERF401 - it is what is tried
        return [h(x) for h in late], [h(x) for h in early], [h(x) for h in made]

    g = r.compile(f)
    g(grid())
    late.append(lambda x: -x)
    early.pop()
    g(grid())


@odd
def lru_cache(r):
    ran = []

    @functools.lru_cache(maxsize=2)
    def factor(n):
        ran.append(n)
        return n * 0.5 + len(ran)

    def f(x, n):
        return x * factor(n)

    g = r.compile(f)
    for n in (1, 1, 2, 3, 1, 3):
        g(grid(), n)
    r.see(ran, factor.cache_info().hits, factor.cache_info().misses)
    factor.cache_clear()
    g(grid(), 3)
    r.see(ran)
