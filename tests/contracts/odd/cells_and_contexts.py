"""Cells, generators, contexts, exceptions and decorators that keep a state."""

from __future__ import annotations

import collections
import contextlib
import functools

import torch

from tests.contracts.odd.recorder import grid, odd


@odd
def cells_shared_by_three(r):
    total, calls = torch.zeros(()), 0

    def add(v):
        nonlocal total, calls
        total = total + v
        calls += 1

    def reset():
        nonlocal total, calls
        total, calls = torch.zeros(()), 0

    def f(x):
        add(x.sum())
        if calls == 3:
            reset()
        add(1.5)
        return x * total + calls

    g = r.compile(f)
    for s in (1.0, 2.0, 3.0, 4.0):
        g(grid(s))
        r.see(total, calls)
    reset()
    g(grid())
    r.see(f.__closure__ is not None, total, calls)


@odd
def cell_contents_set_from_outside(r):
    k = 2.0
    h = lambda x: x + k  # noqa: E731

    def f(x):
        return h(x) * k

    g = r.compile(f)
    g(grid())
    f.__closure__[1].cell_contents = 5.0
    g(grid())
    f.__closure__[1].cell_contents = torch.tensor(3.0)
    g(grid())
    k = 1
    g(grid())
    f.__closure__[0].cell_contents = lambda x: x - k
    g(grid())


@odd
def generator_with_finally(r):
    log = []

    def rows(x):
        try:
            for row in x:
                got = yield row * 2
                if got is not None:
                    log.append(got)
        except ValueError as e:
            log.append(f"thrown {e}")
            yield x.sum()
        finally:
            log.append("closed")

    def f(x, how):
        it = rows(x)
        a = next(it)
        b = it.send("sent")
        if how == "close":
            it.close()
            return a + b
        if how == "throw":
            return a + b + it.throw(ValueError("v"))
        try:
            it.send("last")
        except StopIteration as e:
            log.append(("stop", e.value))
        return b - a

    g = r.compile(f)
    for how in ("close", "throw", "run", "close"):
        g(grid(), how)
        r.see(log)


@odd
def generator_argument_half_consumed(r):
    def f(x, it):
        y = x
        for k in it:
            y = y * k
            if k == 3:
                break
        return y

    g = r.compile(f)
    it = iter([1, 2, 3, 4, 5])
    g(grid(), it)
    r.see(list(it))
    gen = (k * 1.5 for k in range(1, 4))
    g(grid(), gen)
    r.see(list(gen))
    z = zip((2, 3, 7), "abc", strict=False)
    g(grid(), (k for k, _ in z))
    r.see(next(z, None))


class _Swallow:
    def __init__(self, log, kinds):
        self.log, self.kinds = log, kinds

    def __enter__(self):
        self.log.append("in")
        return self

    def __exit__(self, kind, error, tb):
        self.log.append(("out", kind and kind.__name__, str(error), tb is not None))
        return kind is not None and issubclass(kind, self.kinds)


@odd
def context_swallows_by_kind(r):
    log = []

    def f(x, d):
        out = x
        with _Swallow(log, (KeyError, ZeroDivisionError)) as s:
            out = out + 1
            with contextlib.suppress(IndexError):
                out = out * d["k"]
                log.append("between")
                [][d.get("i", 0)]
            out = out / (1 // d["z"])
        s.log.append(len(log))
        return out

    g = r.compile(f)
    g(grid(), {"k": 2, "z": 1})
    g(grid(), {"z": 1})
    g(grid(), {"k": 3, "z": 0})
    g(grid(), {"k": 3, "z": None})
    r.see(log)


@odd
def exit_stack_order(r):
    log = []

    @contextlib.contextmanager
    def step(name):
        log.append(f"+{name}")
        try:
            yield len(log)
        except RuntimeError:
            log.append(f"!{name}")
            raise
        finally:
            log.append(f"-{name}")

    def f(x, names, fail):
        with contextlib.ExitStack() as stack:
            ks = [stack.enter_context(step(n)) for n in names]
            stack.callback(log.append, "callback")
            y = x * sum(ks)
            if fail:
                y = y @ x
            return y

    g = r.compile(f)
    g(grid(), "ab", False)
    g(grid(), "abc", True)
    g(grid(), "", False)
    r.see(log)


@odd
def try_else_finally_return(r):
    log = []

    def f(x, k):
        for i in range(3):
            try:
                if i == k:
                    raise LookupError(i)
                y = x * i
            except LookupError as e:
                log.append(e.args)
                continue
            else:
                log.append(("else", i))
                if i == 1 and k == 0:
                    return y + 100
            finally:
                log.append(("finally", i))
                if k == 9 and i == 1:
                    break  # noqa: B012 - which is what it is about
        else:
            y = y + 0.5
        return y

    g = r.compile(f)
    for k in (0, 1, 2, 3, 9):
        g(grid(), k)
    r.see(log)


@odd
def exception_groups_and_notes(r):
    def f(x, n):
        errors = []
        for i in range(n):
            try:
                x[:, i + 2].sum() + [1][i]
            except (IndexError, TypeError) as e:
                errors.append(type(e).__name__)
        if errors:
            err = ValueError(f"{len(errors)} failed")
            err.which = errors
            raise err from KeyError("root")
        return x.sum()

    g = r.compile(f)
    g(grid(), 0)
    g(grid(), 1)
    g(grid(), 2)
    g(grid(), 3)

    def h(x):
        try:
            raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
        except* ValueError as e:
            x = x + len(e.exceptions)
        except* TypeError:
            x = x * 2
        return x

    k = r.compile(h)
    k(grid())


def _counted(table):
    def deco(fn):
        @functools.wraps(fn)
        def inner(*a, **k):
            table[fn.__name__] += 1
            inner.calls += 1
            out = fn(*a, **k)
            return out * table[fn.__name__]

        inner.calls = 0
        return inner

    return deco


@odd
def stacked_decorators_with_state(r):
    table = collections.Counter()

    @_counted(table)
    def a(x, k=1):
        return x + k

    @_counted(table)
    @_counted(table)
    def b(x):
        return a(x) * 2

    def f(x):
        return b(x) + a(x, k=2) + a.calls

    g = r.compile(f)
    g(grid())
    g(grid())
    r.see(dict(table), a.calls, b.calls, b.__wrapped__.calls)
    a.__wrapped__.__defaults__ = (10,)
    g(grid())
    a.calls = 0
    g(grid())
    r.see(a.calls)
