"""What depends on values: NaN, shapes of results, static arguments, whole numbers that wrap, state in defaults."""

from __future__ import annotations

import math

import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def nans_and_infinities(r):
    def f(x):
        return (
            torch.maximum(x, x.flip(0)),
            torch.fmax(x, x.flip(0)),
            x.clamp(min=0.0),
            x.sort().values,
            x.argmax(),
            x.nansum(),
            x.nan_to_num(1.5),
            torch.sign(x),
            x == x,
            x.relu(),
            x.median(),
            x.unique(),
            (x % 2),
            torch.where(x > 0, x.log(), 0.0),
            x.softmax(0),
            x.cummax(0),
        )

    g = r.compile(f)
    nan, inf = math.nan, math.inf
    g(torch.tensor([1.0, nan, -1.0, inf]))
    g(torch.tensor([-0.0, 0.0, -inf, 2.0]))
    g(torch.tensor([nan, nan]))


@odd
def dynamic_shapes(r):
    def f(x):
        keep = x[x > 2]
        where = x.nonzero()
        values, counts = torch.unique(x.round(), return_counts=True)
        return keep, where, values, counts, keep.shape[0], keep.sum() / max(keep.numel(), 1)

    g = r.compile(f)
    for x in (grid(), -grid(), torch.zeros(2, 3), torch.ones(5) * 3, torch.empty(0)):
        g(x)


@odd
def static_arguments(r):
    def f(x, mode="sum", axis=None, *, keep=False, pair=(1, 2), table=None):
        y = getattr(x, mode)(axis, keepdim=keep) if axis is not None else getattr(x, mode)()
        for k, v in (table or {}).items():
            y = y + v * len(k)
        return y * pair[0] + pair[1]

    g = r.compile(f)
    g(grid())
    g(grid(), "mean")
    g(grid(), "prod", 1)
    g(grid(), axis=0, keep=True)
    g(grid(), pair=(0.5, True))
    g(grid(), table={"ab": 1, "c": torch.tensor(2.0)})
    g(grid(), table={"c": 1, "ab": 2.5})
    g(grid(), "nothing_such")
    g(grid(), axis=4)


@odd
def print_under_compile(r):
    def f(x, tag):
        print("in", tag, x.shape, x.dtype)
        y = x.sum()
        print(f"sum={y:.3f} {y!r} {x[0]}", end="|\n")
        if y > 10:
            print("large", y.item())
        return y

    g = r.compile(f)
    for tag in ("a", "b", "a"):
        g(grid(), tag)
    g(grid(0.1), "c")


@odd
def in_place_chain_on_views(r):
    def f(x):
        rows = x.unbind(0)
        rows[0].mul_(2)
        cols = x.split(1, dim=1)
        cols[-1].copy_(rows[1][:2].unsqueeze(1))
        d = x.diagonal()
        d += 5
        n = x.narrow(1, 0, 2).t()
        n[0, 1] = -1
        return x.sum(0), d, n.is_contiguous()

    g = r.compile(f)
    g(grid())
    g(grid().clone(memory_format=torch.contiguous_format))
    big = torch.arange(20.0).reshape(4, 5)
    g(big[1:3, ::2])
    r.see(big)


@odd
def function_that_returns_functions(r):
    def f(x, k):
        y = x * k

        def later(z=y):
            return z + y + k

        return later

    made = []
    h = f if r.way == "step" else None

    def use(x, k):
        inner = f(x, k)
        made.append(inner)
        return inner()

    g = r.compile(use)
    g(grid(), 2)
    g(grid(), 3.0)
    r.see([m() for m in made], [m(1) for m in made], h is None)


@odd
def grad_of_norm_at_zero(r):
    def f(x):
        return x.norm(), x.abs().sum(), torch.where(x != 0, x.abs().sqrt(), x).sum(), x.relu().sum(), x.max()

    g = r.compile(f)
    for x in (torch.zeros(3), torch.tensor([0.0, 1.0, -1.0]), torch.tensor([2.0, 2.0, -2.0])):
        g(x)
        if r.way != "step":
            g(x.clone().requires_grad_())


@odd
def integers_wrap(r):
    def f(x):
        return x + 100, x * x, -x, x // 3, x % 3, x << 1, x >> 1, ~x, x.sum(), x.float() / 3, x.abs(), x.cumsum(0)

    g = r.compile(f)
    g(torch.tensor([127, -128, 5, 0], dtype=torch.int8))
    g(torch.tensor([255, 0, 5, 128], dtype=torch.uint8))
    g(torch.tensor([2**31 - 1, -(2**31), -5], dtype=torch.int32))
    g(torch.tensor([2**63 - 1, -(2**63), -7]))


@odd
def state_in_a_default(r):
    def f(x, cache={}, trail=[]):  # noqa: B006 - it is what is tried
        key = tuple(x.shape)
        if key not in cache:
            cache[key] = torch.full((), float(len(cache) + 1))
            trail.append(key)
        return x * cache[key] + len(trail)

    g = r.compile(f)
    g(grid())
    g(torch.ones(3))
    g(grid())
    g(torch.ones(4, 1))
    r.see(f.__defaults__[0], f.__defaults__[1])
    f.__defaults__ = ({}, [])
    g(grid())
    r.see(f.__defaults__[0])


class Running(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.best = float("-inf")
        self.trail = []

    def forward(self, x):
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        value = x.detach().max().item()
        if value > self.best:
            self.best = value
            self.trail.append(int(self.steps))
        return x - self.mean


@odd
def buffer_reassigned_sharp(r):
    m = Running()
    g = r.compile(m)
    for s in (1.0, 0.5, 3.0, 2.0):
        g(grid(s))
    r.see(m, m.best, m.trail, sorted(m.state_dict()))
