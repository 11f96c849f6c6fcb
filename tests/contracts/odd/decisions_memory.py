"""Decided by a tensor: what branches return that was there before, and what they write to."""

from __future__ import annotations

import torch

from tests.contracts.odd.decided import each_way
from tests.contracts.odd.recorder import odd


@odd
def decides_return_of_argument(r):
    def f(x):
        if x.sum() > 0:
            x = x * 2
        return x

    each_way(r, f)


@odd
def decides_return_of_view_of_argument(r):
    def f(x):
        if x.sum() > 0:
            return x[0]
        return x[1]

    each_way(r, f)


@odd
def decides_argument_used_on(r):
    def f(x):
        if x.sum() > 0:
            x = x * 2
        return x + 1

    each_way(r, f)


@odd
def decides_argument_written_afterwards(r):
    def f(x):
        y = x * 2 if x.sum() > 0 else x
        y.add_(1)
        return y * 3

    each_way(r, f, slopes=False)


@odd
def decides_argument_written_afterwards_by_its_name(r):
    def f(x):
        y = x * 2 if x.sum() > 0 else x
        x.mul_(2)
        return y * 3

    each_way(r, f, slopes=False)


@odd
def decides_result_and_source_returned(r):
    def f(x):
        h = x * 3
        y = h.exp() if x.sum() < 0 else h
        return h, y

    each_way(r, f)


@odd
def decides_shapes_differ(r):
    def f(x):
        if x.sum() > 0:
            y = x[:1]
        else:
            y = x * 1
        return y.sum(0)

    each_way(r, f)


@odd
def decides_dtypes_differ(r):
    def f(x):
        y = x.double() if x.sum() > 0 else x * 2
        return y + 1

    each_way(r, f)


@odd
def decides_layouts_differ(r):
    def f(x):
        return (x * 2).reshape(3, 2).t() if x.sum() > 0 else x * 3

    each_way(r, f)


@odd
def decides_augmented(r):
    def f(x):
        y = x * 2
        if y.sum() > 0:
            y += 1
            y *= x
        else:
            y -= 3
        return y * 2

    each_way(r, f)


@odd
def decides_augmented_argument(r):
    def f(x):
        if x.sum() > 0:
            x += 1
        return x * 2

    each_way(r, f, slopes=False)


@odd
def decides_augmented_with_a_view(r):
    def f(x):
        y = x * 2
        first = y[0]
        if x.sum() > 0:
            y += 1
        return y.sum() + first

    each_way(r, f)


@odd
def decides_augmented_alias(r):
    def f(x):
        y = x * 2
        z = y
        if x.sum() > 0:
            y += 1
        return y + z

    each_way(r, f)


@odd
def decides_augmented_alias_inside(r):
    def f(x):
        y = x * 2
        if x.sum() > 0:
            z = y
            z += 1
        return y + 1

    each_way(r, f)


@odd
def decides_augmented_dtype(r):
    def f(x):
        n = x.round().long()
        if x.sum() > 0:
            n += 2
        else:
            n //= 2
        return n * 2

    each_way(r, f, slopes=False)


@odd
def decides_in_place_method(r):
    def f(x):
        y = x * 2
        if y.sum() > 0:
            y.clamp_(max=4)
        return y + 1

    each_way(r, f)


@odd
def decides_in_place_of_own(r):
    def f(x):
        if x.sum() > 0:
            y = x.clone()
            y[0] = 0
            y.mul_(2)
        else:
            y = x.sin()
            y.add_(1)
        return y + 1

    each_way(r, f)


@odd
def decides_in_place_without_gradients(r):
    def f(x):
        with torch.no_grad():
            y = x * 2
            if y.sum() > 0:
                y.clamp_(max=4)
            else:
                x.add_(1)
        return y + 1

    each_way(r, f, slopes=False)
