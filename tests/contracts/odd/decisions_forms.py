"""Decided by a tensor: if, elif and conditional expressions, nested and with early returns."""

from __future__ import annotations

import torch.nn.functional as F

from tests.contracts.odd.decided import each_way
from tests.contracts.odd.recorder import odd


@odd
def decides_if_else(r):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = x - 1
        return y + 1

    each_way(r, f)


@odd
def decides_if_alone(r):
    def f(x):
        y = x.sin()
        if y.mean() > 0.1:
            y = y * 3
        return y * 2

    each_way(r, f)


@odd
def decides_elif(r):
    def f(x):
        s = x.sum()
        if s > 30:
            y = x / 4
        elif s > 2:
            y = x * x
        elif s < -10:
            y = x.abs()
        else:
            y = x + 7
        return y

    each_way(r, f)


@odd
def decides_nested(r):
    def f(x):
        if x.sum() > 0:
            if x.max() > 4:
                z = x.exp()
            else:
                z = x.sin()
            y = z * 2
        else:
            y = x + 1
            if x.min() < -4:
                y = y.cos()
        return y

    each_way(r, f)


@odd
def decides_three_deep(r):
    def f(x):
        y = x * 1
        if x[0, 0] > 0.1:
            y = y + 1
            if x[0, 1] > 0.5:
                y = y * 2
                if x[1, 2] > 3:
                    y = y - x
                else:
                    y = y + x
            y = y / 2
        return y.sum()

    each_way(r, f)


@odd
def decides_expression(r):
    each_way(r, lambda x: x.exp() if x.mean() < 1 else x.log1p())


@odd
def decides_expression_nested(r):
    each_way(r, lambda x: (x * 2 if x.sum() > 10 else x * 3) if x.sum() > 0 else x * 4)


@odd
def decides_expression_twice_on_a_line(r):
    each_way(r, lambda x: (x * 2 if x.sum() > 0 else x * 3) + (x.sin() if x.max() > 2 else x.cos()))


@odd
def decides_expression_in_call(r):
    def f(x):
        return F.softplus(x if x.max() > 2 else x * 0.5) + F.relu(input=x.neg() if x.sum() < 0 else x * 2)

    each_way(r, f)


@odd
def decides_early_return(r):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return x - 1

    each_way(r, f)


@odd
def decides_early_returns(r):
    def f(x):
        if x.sum() > 30:
            return x.sqrt()
        y = x * 2
        if y.sum() > 5:
            y = y + 1
            return y.tanh()
        z = y * y
        if z.max() > 20:
            return z / 20
        return z + x

    each_way(r, f)


@odd
def decides_return_inside_of_nested(r):
    def f(x):
        y = x + 1
        if x.sum() > 0:
            if x.max() > 4:
                return y * 2
            y = y * 3
        else:
            y = y * 4
        return y - 1

    each_way(r, f)


@odd
def decides_return_in_python_if(r):
    def f(x, doubled=True):
        if doubled:
            if x.sum() > 0:
                return x * 2
            x = x + 1
        return x * 3

    each_way(r, f)


@odd
def decides_return_of_tuple(r):
    def f(x):
        if x.sum() > 0:
            return x * 2, x.sum()
        return x / 2, x.mean()

    each_way(r, f)


@odd
def decides_return_of_dict(r):
    def f(x):
        if x.sum() > 0:
            return {"y": x * 2, "parts": [x.sum(), x.mean()]}
        return {"y": x / 2, "parts": [x.mean(), x.sum()]}

    each_way(r, f)


@odd
def decides_return_of_other_structure(r):
    def f(x):
        if x.sum() > 0:
            return x * 2, x.sum()
        return x / 2

    each_way(r, f)


@odd
def decides_return_of_none(r):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return None

    each_way(r, f)


@odd
def decides_return_of_number(r):
    def f(x):
        if x.sum() > 0:
            return 1
        return 2

    each_way(r, f)
