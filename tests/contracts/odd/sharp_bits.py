"""What the page of sharp bits of a compiler of pure functions warns of: globals, iterators, indices, randomness."""

from __future__ import annotations

import itertools
import random

import numpy as np
import torch

from tests.contracts.odd.recorder import grid, odd

SCALE = torch.tensor(2.0)

COUNT = 0

HISTORY: list[object] = []


@odd
def global_rebound_between_calls(r):
    global SCALE, COUNT
    SCALE, COUNT = torch.tensor(2.0), 0

    def f(x):
        global COUNT, SCALE
        COUNT += 1
        if COUNT == 3:
            SCALE = SCALE * 10
        return x * SCALE + COUNT

    g = r.compile(f)
    for _ in range(5):
        g(grid())
        r.see(COUNT, SCALE)
    SCALE = 3
    g(grid())
    SCALE = 0.25
    g(grid())
    SCALE = torch.tensor([1.0, 2.0, 3.0])
    g(grid())
    r.see(COUNT)


@odd
def iterator_used_up(r):
    source = iter([1.0, 2.0, 4.0])

    def f(x):
        try:
            factor = next(source)
        except StopIteration:
            return x - 1
        return x * factor

    g = r.compile(f)
    for _ in range(5):
        g(grid())
    r.see(list(source))


@odd
def iterator_argument(r):
    def f(x, it):
        total = x
        for k in it:
            total = total + k
            if k == 2:
                break
        return total

    g = r.compile(f)
    it = iter(range(6))
    g(grid(), it)
    r.see(list(it))
    it = iter([1, 5, 2, 7])
    g(grid(), it)
    r.see(next(it))
    g(grid(), itertools.count())
    g(grid(), (k * k for k in range(4)))


@odd
def out_of_bounds(r):
    def f(x, i):
        return x[i] * 2

    g = r.compile(f)
    for i in (0, -1, 1, 2, -3, 100):
        g(grid(), i)
    g(grid(), slice(5, 9))
    g(grid(), slice(None, None, 2))
    g(grid(), (0, 5))
    g(grid(), torch.tensor([0, 1]))
    g(grid(), torch.tensor([0, 2]))
    g(grid(), [1, 0, 0])
    g(grid(), np.array([1, 0]))


@odd
def index_put_repeated_sharp(r):
    def f(x, i):
        y = x.clone()
        y[i] += 1
        z = x.clone()
        z.index_put_((i,), torch.ones(len(i), x.shape[1]), accumulate=True)
        return y, z

    g = r.compile(f)
    g(grid(), torch.tensor([0, 0, 1]))
    g(grid(), torch.tensor([1, 1, 1, 1]))
    g(grid(), torch.tensor([], dtype=torch.long))
    g(grid(), torch.tensor([-1, 0]))


@odd
def while_on_a_value_sharp(r):
    def f(x):
        n = 0
        while x.sum() > 1:
            x = x / 2
            n += 1
        return x, n

    g = r.compile(f)
    for s in (1.0, 8.0, 0.01, -1.0, 100.0):
        g(grid(s))


@odd
def promotion_table(r):
    def f(x, k):
        return x + k, k + x, x * k, x / k, x**k, torch.maximum(x, x) if x.dtype != torch.complex64 else x

    g = r.compile(f)
    dtypes = (torch.bool, torch.uint8, torch.bfloat16, torch.complex64)
    for dtype in dtypes:
        for k in (2, 2.5, True, torch.tensor(2.5), torch.tensor([2, 2, 2]), 1j):
            g(torch.ones(2, 3).to(dtype), k)


@odd
def promotion_zero_d(r):
    def f(a, b):
        return (a + b).dtype, torch.result_type(a, b), a * b, torch.can_cast(a.dtype, b.dtype), torch.where(a > 0, a, b)

    g = r.compile(f)
    some = [
        torch.tensor(1),
        torch.tensor([1]),
        torch.tensor(1.5, dtype=torch.float64),
        torch.tensor([1.5], dtype=torch.float16),
        torch.tensor([1.5], dtype=torch.bfloat16),
        torch.tensor(3, dtype=torch.int8),
    ]
    for a, b in itertools.product(some, some):
        g(a, b)


@odd
def randomness_mixed(r):
    def f(x):
        a = random.random()
        b = np.random.rand()
        c = torch.rand(())
        d = random.choice([1, 2, 3])
        e = torch.randperm(4)
        return x * a + b * c + d, e, torch.bernoulli(torch.full((3,), 0.5))

    g = r.compile(f)
    for _ in range(3):
        g(grid())
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    g(grid())
    state = torch.get_rng_state()
    g(grid())
    torch.set_rng_state(state)
    g(grid())


@odd
def seed_inside(r):
    def f(x, seed):
        torch.manual_seed(seed)
        a = torch.randn(3)
        gen = torch.Generator().manual_seed(seed + 1)
        b = torch.rand(3, generator=gen)
        random.seed(seed)
        return x + a + b + random.random(), gen.initial_seed()

    g = r.compile(f)
    g(grid(), 1)
    g(grid(), 1)
    g(grid(), 7)
    r.see(torch.rand(2), random.random())


@odd
def leaked_intermediates(r):
    HISTORY.clear()
    seen = []

    def f(x):
        h = x * 2
        seen.append(h)
        HISTORY.append(h.sum())
        if len(seen) > 1:
            h = h + seen[-2]
        return h - 1

    g = r.compile(f)
    for k in range(4):
        g(grid() + k)
    r.see(seen, HISTORY, [s.requires_grad for s in seen])
    seen.clear()
    g(grid())
    r.see(seen)
