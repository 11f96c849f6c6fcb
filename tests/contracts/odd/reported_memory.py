"""What users of compilers reported of memory and numbers: views that are written, inputs that overlap, dtypes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from tests.contracts.odd.recorder import grid, odd


@odd
def inputs_that_come_to_overlap(r):
    def f(x, y):
        x.mul_(2)
        return x + y

    f = r.compile(f)
    f(torch.ones(4), torch.ones(4))
    base = torch.ones(8)
    f(base[:4], base[2:6])
    r.see(base)
    f(base[:4], base[:4])
    r.see(base)


@odd
def bits_are_read_before_the_write(r):
    def f(x):
        y = x.view(torch.int32) * 2
        y.sub_(-4)
        x[:, 1:3] = 2
        return y.view(torch.int64)

    f = r.compile(f)
    f(torch.arange(-12, 12).reshape(4, 6))
    f(torch.arange(0, 24).reshape(4, 6))


@odd
def logarithm_before_it_is_taken_in_place(r):
    def f(x):
        y = torch.log(x)
        x.log_()
        return y

    f = r.compile(f)
    f(grid())
    f(torch.tensor(3.0))


@odd
def view_of_an_input_is_returned(r):
    def f(x):
        x.add_(1)
        row = x[0]
        row.mul_(3)
        return x.t(), row, x

    f = r.compile(f)
    x = grid()
    t, row, same = f(x)[:3] if r.way != "step" else (None, None, None)
    if t is not None:
        t.zero_()
        r.see(x, row, same is x)


@odd
def window_that_overlaps_itself(r):
    def f(x):
        windows = x.unfold(0, 3, 1)
        return windows * torch.arange(3.0), torch.as_strided(x, (2, 2), (1, 1), 1).sum()

    f = r.compile(f)
    f(torch.arange(6.0))
    f(torch.arange(12.0)[::2])


@odd
def expanded_input_is_refused(r):
    def f(x):
        x.add_(1)
        return x * 2

    f = r.compile(f)
    f(torch.zeros(3))
    f(torch.zeros(1).expand(3))
    f(torch.zeros(3))


@odd
def buffer_that_is_swapped(r):
    class Swap(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("front", torch.zeros(3))
            self.register_buffer("back", torch.ones(3))

        def forward(self, x):
            self.front.add_(x.sum(0))
            self.front, self.back = self.back, self.front
            return x * self.front

    swap = Swap()
    f = r.compile(lambda x: swap(x))
    for _ in range(3):
        f(grid())
        r.see(swap)


@odd
def cache_in_a_slice(r):
    cache = torch.zeros(5, 3)
    place = [0]

    def f(x):
        cache[place[0] : place[0] + x.shape[0]] = x
        place[0] += x.shape[0]
        return cache[: place[0]].mean(0)

    f = r.compile(f)
    f(grid())
    f(grid()[:1])
    f(grid())
    f(grid())
    r.see(cache, place)


@odd
def items_and_branches(r):
    def f(x):
        total = x.sum().item()
        if total > 10:
            return x / total
        n = int(x.abs().max())
        return x[:, : min(n, 2)], math.floor(total)

    f = r.compile(f)
    for x in (grid(), grid(0.1), grid(-1.0), grid(0.25)):
        f(x)


@odd
def nonzero_and_masks_as_reported(r):
    def f(x):
        kept = x[x > 2.5]
        where = torch.nonzero(x > 2.5)
        return kept.sum(), where, kept.numel(), torch.unique(x.round())

    f = r.compile(f)
    f(grid())
    f(grid(0.1))
    f(grid(2.0))


@odd
def python_numbers_that_change_kind(r):
    def f(x, k):
        return x * k, k // 2, k / 2, -7 % k, divmod(7, k)

    f = r.compile(f)
    for k in (2, 3, 2.0, True, 10**20, 0.5):
        f(grid(), k)


@odd
def half_that_is_rounded(r):
    def f(x, n):
        return round(n), round(n, 1), math.trunc(-n), x.round(), x.round(decimals=1), (x + n).int()

    f = r.compile(f)
    for n in (0.5, 1.5, 2.5, 2.675):
        f(grid(0.5), n)


@odd
def numpy_in_between(r):
    def f(x):
        a = x.numpy()
        b = np.where(a > 2, a, -a).astype(np.float64)
        return torch.from_numpy(b), float(a.max()), b.dtype.name

    f = r.compile(f)
    f(grid())
    f(grid(-1.0))


@odd
def array_that_shares_memory(r):
    array = np.zeros(3, dtype=np.float32)
    seen = torch.from_numpy(array)

    def f(x):
        seen.add_(x[0])
        return x * float(array[0]), seen * 2

    f = r.compile(f)
    f(grid())
    array[:] = 5
    f(grid())
    r.see(array)


@odd
def strings_of_tensors_as_reported(r):
    def f(x):
        name = f"{tuple(x.shape)}:{x.dtype}:{x.dim()}:{len(x)}"
        print(name, x.stride())
        return x * len(name), name.split(":", maxsplit=1)[0]

    f = r.compile(f)
    f(grid())
    f(grid().t())
    f(grid().double())


@odd
def drawn_and_seeded_inside(r):
    def f(x, seed):
        if seed is not None:
            torch.manual_seed(seed)
        return x + torch.rand(3), torch.randperm(4), torch.nn.functional.dropout(x, 0.5)

    f = r.compile(f)
    f(grid(), 3)
    f(grid(), None)
    f(grid(), 3)


@odd
def default_dtype_between_calls(r):
    def f(x):
        made = torch.tensor([0.5, 1.5, 2.5]) + torch.zeros(3)
        return made * 2, made.dtype, torch.get_default_dtype()

    f = r.compile(f)
    f(grid())
    torch.set_default_dtype(torch.float64)
    f(grid())
    torch.set_default_dtype(torch.float32)
    f(grid())
