"""Decided by a tensor: what branches do besides computing, and what functions read from around them."""

from __future__ import annotations

import torch

from tests.contracts.odd.decided import BOTH_WAYS, each_way
from tests.contracts.odd.recorder import grid, odd

THRESHOLD = 5.0


@odd
def decides_print(r):
    def f(x):
        if x.sum() > 0:
            print("up")
            y = x * 2
        else:
            y = x - 1
        return y

    each_way(r, f)


@odd
def decides_print_further_in(r):
    def tell(x):
        print("up")
        return x * 2

    def f(x):
        y = tell(x) if x.sum() > 0 else x - 1
        return y + 1

    each_way(r, f)


@odd
def decides_append(r):
    seen = []

    def f(x):
        if x.sum() > 0:
            seen.append(1)
            y = x * 2
        else:
            y = x - 1
        return y

    each_way(r, f)
    r.see(seen)


@odd
def decides_append_further_in(r):
    seen = []

    def double(x):
        seen.append("double")
        return x * 2

    def f(x):
        return double(x) if x.sum() > 0 else x - 1

    each_way(r, f)
    r.see(seen)


@odd
def decides_entry(r):
    table = {}

    def f(x):
        if x.sum() > 0:
            table["up"] = 1
            y = x * 2
        else:
            y = x - 1
        return y

    each_way(r, f)
    r.see(table)


@odd
def decides_local_list(r):
    def f(x):
        out = []
        if x.sum() > 0:
            out.append(x * 2)
        else:
            out.append(x * 3)
        return out[0] + 1

    each_way(r, f)


@odd
def decides_list_within(r):
    def f(x):
        if x.sum() > 0:
            parts = [x, x * 2]
            parts.append(x * 3)
            y = torch.stack(parts).sum(0)
        else:
            y = sum([x * i for i in range(3)])
        return y

    each_way(r, f)


@odd
def decides_global(r):
    global THRESHOLD

    def f(x):
        if x.sum() > THRESHOLD:
            y = x * THRESHOLD
        else:
            y = x / THRESHOLD
        return y

    compiled = each_way(r, f)
    THRESHOLD = -7.0
    try:
        for sign in BOTH_WAYS:
            compiled(sign * grid())
    finally:
        THRESHOLD = 5.0


@odd
def decides_global_set(r):
    def f(x):
        global THRESHOLD
        if x.sum() > 0:
            THRESHOLD = 6.0
        return x * THRESHOLD

    global THRESHOLD
    try:
        each_way(r, f)
    finally:
        r.see(THRESHOLD)
        THRESHOLD = 5.0


@odd
def decides_nonlocal_set(r):
    count = 0

    def f(x):
        nonlocal count
        if x.sum() > 0:
            count += 1
            x = x * 2
        return x + 1

    each_way(r, f)
    r.see(count)


@odd
def decides_closure(r):
    factor = torch.tensor(2.0)

    def f(x):
        if x.sum() > 0:
            y = x * factor
        else:
            y = x - factor
        return y

    compiled = each_way(r, f)
    factor = torch.tensor(3.0)
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_default(r):
    def f(x, factor=2.0, *, offset=1.0):
        if x.sum() > 0:
            return x * factor
        return x - offset

    compiled = each_way(r, f)
    f.__defaults__ = (5.0,)
    f.__kwdefaults__ = {"offset": 4.0}
    for sign in BOTH_WAYS:
        compiled(sign * grid())
    compiled(grid(), 3.0, offset=2.0)


@odd
def decides_code_replaced(r):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x - 1

    def g(x):
        if x.sum() > 0:
            return x * 20
        return x - 10

    compiled = each_way(r, f)
    f.__code__ = g.__code__
    for sign in BOTH_WAYS:
        compiled(sign * grid())


@odd
def decides_varied_arguments(r):
    def f(x, *others, scale, **named):
        if x.sum() > 0:
            y = x * scale + others[0]
        else:
            y = x - named["last"]
        return y

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        compiled(sign * grid(), grid(2), scale=2.0, last=grid(3))


@odd
def decides_inner_function(r):
    def f(x):
        def inner(a, k):
            if a.sum() > k:
                return a * 2
            return a - k

        return inner(x, 1.0) + inner(x * 2, 3.0)

    each_way(r, f)


@odd
def decides_inner_lambda(r):
    def f(x):
        pick = lambda a: a * 2 if a.sum() > 0 else a - 1  # noqa: E731
        return pick(x) + pick(x - 3)

    each_way(r, f)


@odd
def decides_function_that_reads_later(r):
    def f(x):
        y = x * 1
        late = lambda: y * 10  # noqa: E731
        if x.sum() > 0:
            y = y + 1
            z = late()
        else:
            z = late() + 1
        return y + z

    each_way(r, f)


@odd
def decides_generator(r):
    def f(x):
        def parts():
            for row in x:
                if row.sum() > 3:
                    yield row * 2
                else:
                    yield row

        return torch.stack(list(parts()))

    each_way(r, f)


@odd
def decides_generator_expression(r):
    def f(x):
        return sum((row * 2 if row.sum() > 3 else row * 1 for row in x), torch.zeros(3))

    each_way(r, f)


def clipped(x, most=5.0):
    """A helper of the module."""
    norm = x.norm()
    if norm > most:
        x = x * (most / norm)
    return x * 1


@odd
def decides_helper(r):
    each_way(r, lambda x: clipped(x) + clipped(x * 2, most=3.0))


@odd
def decides_helper_replaced(r):
    global clipped

    compiled = each_way(r, lambda x: clipped(x) * 2)
    before = clipped

    def other(x):
        return x - 1 if x.sum() > 0 else x + 1

    clipped = other
    try:
        for sign in BOTH_WAYS:
            compiled(sign * grid())
    finally:
        clipped = before
    for sign in BOTH_WAYS:
        compiled(sign * grid())


def decorated(function):
    def around(*args):
        return function(*args) + 1

    return around


@decorated
def doubled_or_not(x):
    if x.sum() > 0:
        return x * 2
    return x / 3


@odd
def decides_decorated(r):
    each_way(r, lambda x: doubled_or_not(x))
