"""Control flow: branches and loops on values, exceptions, contexts, generators, recursion."""

from __future__ import annotations

import asyncio
import logging
import random
import time
import warnings

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd

logger = logging.getLogger("odd")


@odd
def branch_on_a_sum(r):
    f = r.compile(lambda x: x * 2 if x.sum() > 0 else x - 1)
    for s in (1, -1, 1, 0):
        f(s * grid())


@odd
def branch_with_effects(r):
    seen = []

    def f(x):
        if x.sum() > 0:
            seen.append("up")
            return x * 2
        seen.append("down")
        return x - 1

    f = r.compile(f)
    for s in (1, -1, 1):
        f(s * grid())
        r.see(seen)


@odd
def branch_of_other_shapes(r):
    f = r.compile(lambda x: x[0] if x.sum() > 0 else x)
    for s in (1, -1, 1):
        f(s * grid())


@odd
def branch_of_other_types(r):
    f = r.compile(lambda x: None if x.sum() > 0 else {"x": x, "n": 3})
    for s in (1, -1, 1):
        f(s * grid())


@odd
def branch_that_writes(r):
    def f(x):
        if x.sum() > 0:
            x.add_(1)
        else:
            x = x * 2
        return x

    f = r.compile(f)
    for s in (1, -1, 1):
        f(s * grid())


@odd
def branch_with_gradients(r):
    f = r.compile(lambda x: x.sin() if x.mean() > 0 else x.cos() * 2)
    for s in (1, -1, 1):
        f((s * grid()).requires_grad_())


@odd
def branch_with_random_numbers(r):
    f = r.compile(lambda x: x * torch.rand(3) if x.sum() > 0 else x + torch.randn(2, 3))
    for s in (1, -1, 1):
        f(s * grid())


@odd
def branch_of_branches(r):
    def f(x):
        if x[0, 0] > 0:
            if x[1, 1] > 3:
                y = x * 2
            else:
                y = x * 3
        elif x[0, 1] < -3:
            y = x * 4
        else:
            y = x * 5
        return y + 1

    f = r.compile(f)
    for t in (grid(), grid(-1), grid() / 3, grid(-2), grid(0.0)):
        f(t)


@odd
def and_or_not_on_tensors(r):
    f = r.compile(lambda x: x * 2 if x.sum() > 0 and not x.max() > 9 or x.min() < -4 else x)
    for t in (grid(), grid(2), grid(-1), grid(0.0)):
        f(t)


@odd
def and_returns_a_tensor(r):
    f = r.compile(lambda x, y: (x.sum() and y, x.sum() or y, not x.sum()))
    f(grid(), torch.ones(1))
    f(grid(0.0), torch.ones(1))


@odd
def bool_of_many_values(r):
    f = r.compile(lambda x: 1 if x > 0 else 2)
    f(grid())
    f(torch.ones(1))
    f(torch.ones(0))


@odd
def chained_comparison(r):
    f = r.compile(lambda x: x if 0 < x.sum() < 30 else -x)
    f(grid())
    f(grid(9))


@odd
def nan_in_a_branch(r):
    f = r.compile(lambda x: x * 2 if x.sum() > 0 else x * 3 if x.sum() <= 0 else x * 4)
    f(grid())
    f(grid(float("nan")))
    f(grid(float("-inf")))


@odd
def while_on_a_value(r):
    def f(x):
        n = 0
        while x.abs().max() > 1:
            x, n = x / 2, n + 1
        return x, n

    f = r.compile(f)
    for s in (1.0, 8.0, 0.1):
        f(grid(s))


@odd
def while_with_break_and_else(r):
    def f(x, limit):
        for i in range(10):
            x = x * 2
            if x.sum() > limit:
                break
            if i == 3:
                continue
            x = x + 1
        else:
            x = x * 0
        return x, i

    f = r.compile(f)
    for limit in (1, 100, 1e9):
        f(grid(), limit)


@odd
def for_over_a_tensor(r):
    def f(x):
        total = 0
        for i, row in enumerate(x):
            for v in row:
                total = total + v * i
        return total, [v for v in x.flatten()[:2]]

    f = r.compile(f)
    f(grid())
    f(torch.ones(3, 2))
    f(torch.ones(0, 2))


@odd
def range_of_a_tensor(r):
    f = r.compile(lambda x, n: sum(x * i for i in range(n)))
    for n in (1, 3, 0):
        f(grid(), torch.tensor(n))


@odd
def match_statement(r):
    def f(x, what):
        match what:
            case {"scale": s, **rest}:
                return x * s + len(rest)
            case [a, b, *_]:
                return x * a + b
            case str() as text if text.startswith("n"):
                return -x
            case 0 | 1:
                return x + what
            case float():
                return x / what
            case None:
                return x
            case _:
                return type(what).__name__

    f = r.compile(f)
    for what in ({"scale": 2, "k": 1}, [1, 2, 3], "neg", "pos", 0, 1, 7, 2.0, None, grid(), (5, 6)):
        f(grid(), what)


@odd
def walrus(r):
    def f(x):
        if (n := x.shape[0]) > 1 and (y := x * n) is not None:
            return y + n
        return [z := x + 1, z * 2]

    f = r.compile(f)
    f(grid())
    f(grid()[:1])


@odd
def ternaries_and_tuples(r):
    f = r.compile(lambda x, *a, k=None, **n: (x if k is None else x * k, *a, {**n, "x": x}))
    f(grid())
    f(grid(), 1, 2.0, "s", k=3, z=None)
    f(grid(), k=torch.tensor(2.0))


@odd
def recursion_on_a_value(r):
    def down(x):
        return x if x.max() < 1 else down(x / 3) + 1

    f = r.compile(down)
    f(grid())
    f(grid() / 100)


@odd
def recursion_without_end(r):
    def f(x):
        return f(x + 1)

    def g(x):
        try:
            return f(x)
        except RecursionError as error:
            return type(error).__name__

    r.compile(g)(grid())


@odd
def mutual_recursion(r):
    def even(x, n):
        return x if n == 0 else odd_(x + 1, n - 1)

    def odd_(x, n):
        return x * 0 if n == 0 else even(x * 2, n - 1)

    f = r.compile(even)
    for n in (0, 3, 4):
        f(grid(), n)


@odd
def prints_in_order(r):
    def f(x):
        print("first", tuple(x.shape))
        y = x * 2
        print(f"sum {y.sum():.2f} and {y.sum().item()!r}", end="|\n")
        print(y, sep="")
        return y

    f = r.compile(f)
    for s in (1, -1):
        f(grid(s))
        r.see("between")


@odd
def prints_then_raises(r):
    def f(x):
        print("before")
        x += 1
        print("after", x.sum().item())
        raise OSError("gone")

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def logs_in_order(r):
    def f(x):
        logger.info("shape %s", tuple(x.shape))
        y = x * 2
        logger.warning("sum %.1f", y.sum())
        print("printed")
        return y

    f = r.compile(f)
    f(grid())
    f(grid(-1))


@odd
def warns(r):
    def f(x):
        warnings.warn(f"careful {x.shape[0]}", UserWarning, stacklevel=2)
        y = x * 2
        warnings.warn("again", RuntimeWarning, stacklevel=1)
        return y

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def warning_made_an_error(r):
    def f(x):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                warnings.warn("bad", UserWarning, stacklevel=1)
            except UserWarning:
                return x * 3
        return x

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def time_passes(r):
    def f(x):
        a = time.perf_counter()
        y = x * 2
        b = time.perf_counter()
        return y, a <= b, b > 0, time.time() > 1e9

    stamps = []

    def g(x):
        stamps.append(time.monotonic_ns())
        return x + 1

    f, g = r.compile(f), r.compile(g)
    f(grid())
    for _ in range(3):
        g(grid())
    r.see(len(set(stamps)) == 3, stamps == sorted(stamps))


@odd
def random_numbers_of_python(r):
    f = r.compile(lambda x: x * random.random() + random.randint(1, 6) + random.choice([1.0, 2.0]))
    for _ in range(3):
        f(grid())


@odd
def random_seeded_inside(r):
    def f(x):
        random.seed(3)
        np.random.seed(4)
        return x * random.random() + np.random.rand()

    f = r.compile(f)
    for _ in range(3):
        f(grid())


@odd
def random_branch(r):
    f = r.compile(lambda x: x * 2 if random.random() < 0.5 else x - 1)
    for _ in range(6):
        f(grid())


@odd
def async_function(r):
    async def slow(x):
        await asyncio.sleep(0)
        return x * 2

    f = r.compile(lambda x: asyncio.run(slow(x)))
    f(grid())
    f(grid())


@odd
def star_unpacking(r):
    def f(x):
        first, *rest = x
        (a, b), c = (x[0], x[1]), x
        return [first, *rest, a, b, *[c], {**{"k": a}, "m": 1}]

    f = r.compile(f)
    f(grid())
    f(torch.ones(1, 2))
    f(torch.ones(4, 2))


@odd
def delete_and_unbound(r):
    def f(x):
        y = x * 2
        del y
        return y

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def lambda_in_default_argument(r):
    f = r.compile(lambda x, g=(lambda v: v * 2): g(x))
    f(grid())
    f(grid(), lambda v: v + 1)
    f(grid(), torch.sin)


@odd
def tensor_in_fstring(r):
    f = r.compile(lambda x: (f"{x.sum():.1f} {x[0, 0]} {x.shape} {x.dtype}", x * 2))
    f(grid())
    f(grid(2))


@odd
def str_and_repr(r):
    f = r.compile(lambda x: (str(x), repr(x.shape), str(x.dtype), x + 1))
    f(grid())
    f(grid(2))
