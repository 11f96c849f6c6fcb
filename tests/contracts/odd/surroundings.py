"""What lies around a function: patched modules, hooks, handlers, tasks, arguments of another kind at each call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import decimal
import functools
import io
import logging
import math
import operator
import string
import sys
import types
import warnings
from unittest import mock

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd

_limits = types.SimpleNamespace(low=0.0, high=3.0)
_stack = []


def _clamped(x):
    return x.clamp(_limits.low, _limits.high)


def _deep(x, n):
    return x if n == 0 else _deep(x * 2 + n, n - 1)


@contextlib.contextmanager
def _noted(notes, name):
    notes.append(f"in {name}")
    try:
        yield len(notes)
    except ValueError as error:
        notes.append(f"caught {error}")
    finally:
        notes.append(f"out {name}")


@odd
def patched_for_a_while(r):
    f = r.compile(lambda x: _clamped(x) + math.floor(2.5))
    f(grid())
    with mock.patch(f"{__name__}._clamped", lambda x: x * 10):
        f(grid())
    with mock.patch.object(_limits, "high", 5.0), mock.patch("math.floor", return_value=100):
        f(grid())
    f(grid())


@odd
def module_patched(r):
    made = types.ModuleType("odd_made")
    made.scale, made.go = 2.0, lambda x: x + 1
    sys.modules["odd_made"] = made

    def f(x):
        import odd_made

        return odd_made.go(x) * odd_made.scale

    f = r.compile(f)
    f(grid())
    made.scale = 5.0
    f(grid())
    made.go = lambda x: x - 1
    f(grid())
    del sys.modules["odd_made"]
    f(grid())


@odd
def patched_method_of_tensors(r):
    f = r.compile(lambda x: x.relu() + nn.functional.relu(x))
    f(-grid())
    with mock.patch.object(nn.functional, "relu", lambda x: x * 7):
        f(-grid())
    f(-grid())


@odd
def attribute_of_a_function_read(r):
    def helper(x):
        return x * helper.scale

    helper.scale = 2.0
    f = r.compile(lambda x: helper(x) + getattr(helper, "extra", 0.0) + hasattr(helper, "flag"))
    f(grid())
    helper.scale = 3.0
    f(grid())
    helper.extra = 5.0
    f(grid())
    helper.flag = None
    f(grid())
    del helper.extra
    f(grid())


@odd
def largest_of_tensors(r):
    def f(x, floor):
        a, b = x[0].sum(), x[1].sum()
        return max(a, b), min(a, b), max(a, floor), min([b, a, a]), max(a, b, key=lambda t: -t)

    f = r.compile(f)
    f(grid().requires_grad_(), 0.0)
    f(torch.tensor([[float("nan")], [1.0]]), 100.0)
    f(torch.tensor([[1.0], [float("nan")]]), -5)
    f(torch.ones(2, 3).requires_grad_(), 3)


@odd
def largest_of_many_values(r):
    def f(x):
        try:
            return max(x[0], x[1]) * 2
        except RuntimeError:
            return x

    f = r.compile(f)
    f(grid())
    f(torch.ones(2, 1))


@odd
def sorted_tensors(r):
    def f(items):
        ordered = sorted(items)
        ordered.reverse()
        return ordered, ordered[0] is items[1], [items.index(t) for t in ordered]

    f = r.compile(f)
    f([torch.tensor(1.0), torch.tensor(5.0), torch.tensor(3.0)])
    f([torch.tensor(1.0), torch.tensor(1.0), torch.tensor(0.0)])


@odd
def nested_contexts_with_errors(r):
    notes = []

    def f(x, fails):
        with _noted(notes, "a") as n, _noted(notes, "b"):
            x = x * n
            if fails:
                raise ValueError(f"for {fails}")
            x = x + 1
        return x * 2

    f = r.compile(f)
    for fails in (0, 2, 0):
        f(grid(), fails)
        r.see(notes)


@odd
def output_captured_inside(r):
    def f(x):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            print("shape", tuple(x.shape))
        with contextlib.suppress(KeyError):
            x = x * {}["missing"]
        return x + len(out.getvalue()), out.getvalue()

    f = r.compile(f)
    f(grid())
    f(torch.ones(1, 2))


@odd
def log_handler_changes(r):
    seen = []
    logger = logging.getLogger("odd.surroundings")

    class Keeps(logging.Handler):
        def emit(self, record):
            seen.append(record.getMessage())

    def f(x):
        logger.info("rows %d", x.shape[0])
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("sum %.1f", float(x.sum()))
        return x * 2

    f, handler = r.compile(f), Keeps()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    f(grid())
    logger.setLevel(logging.DEBUG)
    f(grid())
    logger.removeHandler(handler)
    f(grid())
    r.see(seen)


@odd
def warning_filters_change(r):
    def f(x, k):
        if k > 1:
            warnings.warn(f"k is {k}", UserWarning, stacklevel=2)
        return x * k

    f = r.compile(f)
    f(grid(), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f(grid(), 3)
        warnings.simplefilter("error")
        f(grid(), 4)
    f(grid(), 5)


@odd
def hooks_of_inner_layers(r):
    seen = []
    net = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with torch.no_grad():
        net[0].weight.fill_(0.5)
        net[0].bias.fill_(0.25)
    f = r.compile(lambda x: net(x))
    f(grid())
    first = net[0].register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    f(grid())
    second = net[1].register_forward_hook(lambda m, args, out: seen.append(tuple(out.shape)) or out + 1)
    f(grid())
    first.remove()
    f(grid())
    second.remove()
    f(grid())
    r.see(seen)


@odd
def tasks_of_asyncio(r):
    def f(x, k):
        return x * k + 1

    g = r.compile(f)

    async def work(k):
        await asyncio.sleep(0)
        return g(grid(), k)

    async def main():
        return await asyncio.gather(*(work(k) for k in (1.0, 2.0)))

    asyncio.run(main())


@odd
def pool_of_threads(r):
    total = []

    def f(x):
        total.append(1)
        return x * len(total)

    g = r.compile(f)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for _ in range(2):
            pool.submit(g, grid()).result()
    g(grid())
    r.see(len(total))


@odd
def deep_recursion(r):
    f = r.compile(lambda x, n: _deep(x, n))
    for n in (0, 1, 5, 30):
        f(torch.ones(2), n)


@odd
def stack_of_a_global(r):
    _stack.clear()

    def push(x):
        _stack.append(x.shape[0])
        try:
            if len(_stack) > 2:
                raise RecursionError("too deep")
            return x * len(_stack) if len(_stack) == 2 else push(x + 1)
        finally:
            _stack.pop()

    f = r.compile(push)
    f(grid())
    _stack.append("left over")
    f(grid())
    r.see(_stack)
    _stack.extend([1, 2])
    f(grid())
    r.see(_stack)


@odd
def argument_of_every_kind(r):
    def f(x, k):
        if k is None:
            return x
        if isinstance(k, bool):
            return x if k else -x
        if isinstance(k, str):
            return x * len(k)
        if isinstance(k, torch.Tensor):
            return x + k
        if isinstance(k, (list, tuple)):
            return x * sum(k)
        return x * k if k else x * 0

    f = r.compile(f)
    for k in (None, True, 1, 1.0, "a", "ab", torch.ones(1), [1, 2], (1, 2), 0, 0.0, False, None, -0.0, 2**40):
        f(grid(), k)


@odd
def keyword_and_positional(r):
    def f(x, /, y=1.0, *rest, z=2.0, **more):
        return x * y + z + sum(rest) + len(more), sorted(more)

    f = r.compile(f)
    f(grid())
    f(grid(), 3.0, z=1.0)
    f(grid(), 3.0, 4.0, 5.0, b=1, a=2)
    f(grid(), a=2, b=1)
    f(grid(), y=2.0, q=None)
    f(grid(), x=5)


@odd
def formats_of_values(r):
    def f(x, k):
        text = "%s|%05.2f|%r" % (tuple(x.shape), k, x.dtype)
        text += f"{k:>8.3e}{x.dim()!r:^5}" + string.Template("$a").substitute(a=k) + "{:,}".format(10**6)
        return x * len(text), text, str(x.sum()), f"{x[0, 0].item():.1f}", format(decimal.Decimal("1.10"), ".3f")

    f = r.compile(f)
    f(grid(), 2.5)
    f(grid() * 2, 3.25)


@odd
def item_in_a_loop(r):
    def f(x):
        total, steps = 0.0, 0
        while total < 10 and steps < 20:
            total += x[steps % 2, steps % 3].item()
            steps += 1
            if total > 8.5:
                return x * total, steps
        return x + steps, total

    f = r.compile(f)
    f(grid())
    f(grid() * 0.1)


@odd
def results_put_into_what_was_given(r):
    def f(x, out, items, table):
        torch.add(x, 1, out=out)
        torch.mul(out[0], 2, out=items[0])
        table["sum"] = torch.sum(out, dim=0, out=table["sum"])
        return table["sum"] is items[1], out

    f = r.compile(f)
    for _ in range(2):
        out, items = torch.zeros(2, 3), [torch.zeros(3), torch.zeros(3)]
        table = {"sum": items[1]}
        f(grid(), out, items, table)
        r.see(out, items, table)


@odd
def scatter_then_mask(r):
    def f(x, i):
        x.scatter_(1, i, 9.0)
        x[x > 5] = -1
        x.index_add_(0, i[:, 0], torch.ones(2, 3))
        x[i[:, 0]] = x[1].clone()
        x.t()[x.t() < 0] = 0.5
        return x.view(-1)[::2]

    f = r.compile(f)
    f(grid(), torch.zeros(2, 1, dtype=torch.int64))
    f(grid(), torch.tensor([[1], [0]]))


@odd
def functions_of_operator(r):
    get = operator.itemgetter(1, 0)
    call = operator.methodcaller("sum", dim=0)
    size = operator.attrgetter("T.shape")

    f = r.compile(lambda x, items: (call(x) * get(items)[0] + size(x)[0], operator.setitem(items, 0, x.shape[1])))
    for items in ([1.0, 2.0], [3.0, 4.0]):
        f(grid(), items)
        r.see(items)


@odd
def partial_with_state(r):
    kept = {"n": 0}

    def step(state, x, k=1.0):
        state["n"] += 1
        return x * k + state["n"]

    part = functools.partial(step, kept, k=2.0)
    f = r.compile(lambda x: part(x))
    f(grid())
    part.keywords["k"] = 5.0
    f(grid())
    kept["n"] = 10
    f(grid())
    r.see(kept)


@odd
def hidden_state_of_a_closure(r):
    def make():
        n, history = 0, {}

        def count(x):
            nonlocal n
            n += 1
            history[n] = float(n)
            return x * n + sum(history.values())

        def reset():
            nonlocal n
            n = 0
            history.clear()

        return count, reset

    count, reset = make()
    f = r.compile(count)
    f(grid())
    f(grid())
    reset()
    f(grid())


@odd
def generator_that_outlives_a_call(r):
    log = []

    def numbers(x):
        try:
            for i in range(3):
                log.append(i)
                yield x * i
        finally:
            log.append("closed")

    f = r.compile(lambda x: numbers(x * 2))
    made = f(grid())
    r.see(log)
    if hasattr(made, "close"):
        r.see(next(made), log)
        made.close()
    r.see(log)


@odd
def sees_its_own_variables(r):
    def helper(x, k):
        total = x * k
        return total + len(locals()) + eval("k * 2")

    f = r.compile(lambda x, k: helper(x + 1, k) * 2)
    for k in (1.0, 3.0):
        f(grid(), k)
