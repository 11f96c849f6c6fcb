"""Decided by a tensor: variables of branches, loops, tests with and, or and not, and numbers."""

from __future__ import annotations

import torch

from tests.contracts.odd.decided import each_way
from tests.contracts.odd.recorder import grid, odd


@odd
def decides_defined_in_one_branch(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        try:
            return y + 1
        except UnboundLocalError:
            return x

    each_way(r, f)


@odd
def decides_defined_in_one_branch_and_unused(r):
    def f(x):
        y = x.cos()
        if x.sum() > 0:
            t = x * 2
            y = t + t * t
        return y

    each_way(r, f)


@odd
def decides_defined_and_missing(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        return y

    each_way(r, f)


@odd
def decides_temporaries_of_one_name(r):
    def f(x):
        y = x
        if x.sum() > 0:
            t = x * 2
            y = t + 1
        if x.max() > 2:
            t = x * 3
            y = t - y
        return y * 2

    each_way(r, f)


@odd
def decides_in_a_loop(r):
    def f(x):
        y = x * 1
        for i in range(4):
            if y.sum() > i:
                y = y * 0.5
            else:
                y = y + i
        return y

    each_way(r, f)


@odd
def decides_in_a_loop_over_rows(r):
    def f(x):
        out = []
        for row in x:
            scaled = row * 2
            if row.sum() > 2:
                scaled = scaled / 2
            out.append(scaled * 2)
        return torch.stack(out)

    each_way(r, f)


@odd
def decides_when_to_break(r):
    def f(x):
        y = x * 1
        for _ in range(5):
            if y.sum() > 50:
                break
            y = y * 2
        return y

    each_way(r, f)


@odd
def decides_what_to_leave_out(r):
    def f(x):
        y = x * 0
        for row in x:
            if row.sum() > 7:
                continue
            y = y + row
        return y

    each_way(r, f)


@odd
def decides_return_in_a_loop(r):
    def f(x):
        for i in range(3):
            if x.sum() > i * 10:
                return x * i
        return x - 1

    each_way(r, f)


@odd
def decides_last_value_of_a_loop(r):
    def f(x):
        t = x * 0
        for i in range(3):
            u = x + t
            if u.sum() > 3:
                t = u * 0.3
                v = t + i
            else:
                v = u - i
            x = x + v
        return x, t

    each_way(r, f)


@odd
def decides_how_often(r):
    def f(x):
        y = x.abs() + 0.1
        while y.sum() < 100:
            y = y * 2
        return y

    each_way(r, f)


@odd
def decides_in_comprehension(r):
    def f(x):
        return torch.stack([row * 2 if row.sum() > 5 else row / 2 for row in x])

    each_way(r, f)


@odd
def decides_what_is_kept(r):
    def f(x):
        return [row * 2 for row in x if row.sum() > 0]

    each_way(r, f)


@odd
def decides_and(r):
    def f(x):
        if x.sum() > 0 and x.max() > 4:
            return x * 2
        return x * 3

    each_way(r, f)


@odd
def decides_or_not(r):
    def f(x):
        y = x + 1
        if not x.sum() > 0 or (x.max() > 10 and not x.min() < 2):
            y = y * 2
        return y

    each_way(r, f)


@odd
def decides_and_python(r):
    def f(x, wanted=True, factor=None):
        y = x * 1
        if wanted and x.sum() > 0 and factor is None:
            y = y * 2
        if factor is not None or x.max() > 4:
            y = y * 3
        return y

    compiled = each_way(r, f)
    compiled(grid(), wanted=False)
    compiled(grid(), factor=3)


@odd
def decides_guarded_index(r):
    def f(x, i):
        if (i < len(x)).all() and x[i].sum() > 0:
            return x * 2
        return x * 3

    compiled = r.compile(f)
    for i in (0, 1, 5, 1):
        compiled(grid(), torch.tensor(i))
        compiled(grid(-1), torch.tensor(i))


@odd
def decides_chain(r):
    def f(x):
        if 0 < x.sum() < 30:
            return x * 2
        return x * 3

    each_way(r, f)


@odd
def decides_chain_of_tensors(r):
    def f(x):
        low, high = x.min(), x.max()
        y = x * 2 if low < x.mean() <= high else x * 3
        return y - low

    each_way(r, f)


@odd
def decides_value_of_or(r):
    def f(x):
        y = x.sum() or x.max()
        return y * 2

    compiled = each_way(r, f)
    compiled(torch.tensor([[1.0, -1.0]]))


@odd
def decides_value_of_and(r):
    def f(x):
        return (x.sum() and x.max() * 2) + 1

    compiled = each_way(r, f)
    compiled(torch.tensor([[1.0, -1.0]]))


@odd
def decides_walrus(r):
    def f(x):
        if (s := x.sum()) > 0:
            return x * s
        return x - s

    each_way(r, f)


@odd
def decides_walrus_in_branch(r):
    def f(x):
        y = (t := x * 2) + t if x.sum() > 0 else (t := x * 3) - 1
        return y + t

    each_way(r, f)


@odd
def decides_bare_tensor(r):
    def f(x):
        if x.sum():
            return x * 2
        return x + 3

    compiled = each_way(r, f)
    compiled(torch.tensor([[1.0, -1.0]]))
    compiled(torch.tensor([[float("nan"), -1.0]]))


@odd
def decides_one_value_of_any_shape(r):
    def f(x):
        if x > 0:
            return x * 2
        return x + 3

    compiled = r.compile(f)
    for value in (1.0, -1.0):
        compiled(torch.full((1,), value))
        compiled(torch.full((1, 1), value))


@odd
def decides_any_and_all(r):
    def f(x):
        if (x > 5).any():
            x = x / 2
        if (x < 0).all() and not torch.isnan(x).any():
            x = -x
        return x + 1

    each_way(r, f)


@odd
def decides_item(r):
    def f(x):
        if x.sum().item() > 0.5:
            return x * 2
        return x - 1

    each_way(r, f)


@odd
def decides_float(r):
    def f(x):
        s = float(x.mean())
        if s > 0.5:
            y = x * s
        else:
            y = x - s
        return y

    each_way(r, f, slopes=False)


@odd
def decides_bool(r):
    def f(x):
        if bool(x.sum() > 0):
            return x * 2
        return x - 1

    each_way(r, f)


@odd
def decides_python_number(r):
    def f(x):
        k = 1.5
        if x.sum() > 0:
            k = 2.5
        return x * k

    each_way(r, f)


@odd
def decides_python_counter(r):
    def f(x):
        n = 0
        for row in x:
            if row.sum() > 0:
                n += 1
        return x * n

    each_way(r, f)


@odd
def decides_python_text(r):
    def f(x):
        kind = "up" if x.sum() > 0 else "down"
        return {kind: x * 2}

    each_way(r, f)
