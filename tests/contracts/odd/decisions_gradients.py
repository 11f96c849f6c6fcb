"""Decided by a tensor: gradients and random numbers in branches and beside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.contracts.odd.decided import BOTH_WAYS, each_way
from tests.contracts.odd.recorder import grid, odd


@odd
def decides_under_no_grad(r):
    @torch.no_grad()
    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = x.exp()
        return y

    each_way(r, f)


@odd
def decides_within_no_grad(r):
    def f(x):
        with torch.no_grad():
            s = x.sum()
            if s > 0:
                k = s * 2
            else:
                k = s - 1
        return x * k

    each_way(r, f)


@odd
def decides_no_grad_in_branch(r):
    def f(x):
        if x.sum() > 0:
            with torch.no_grad():
                y = x * 2
        else:
            y = x * 3
        return y + x

    each_way(r, f)


@odd
def decides_detached_in_one(r):
    def f(x):
        return x.detach() * 2 if x.sum() > 0 else x * 3

    each_way(r, f)


@odd
def decides_constant_in_one(r):
    def f(x):
        return torch.zeros(2, 3) if x.sum() > 0 else x * 3

    each_way(r, f)


@odd
def decides_gradient_of_one(r):
    w, v = torch.ones(3, requires_grad=True), torch.full((3,), 2.0, requires_grad=True)

    def f(x):
        if x.sum() > 0:
            return x * w
        return x * v

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        for leaf in (w, v):
            leaf.grad = None
        result = compiled(sign * grid())
        if result.requires_grad:
            result.sum().backward()
        r.see(w.grad, v.grad)


@odd
def decides_gradient_of_both(r):
    w = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)

    def f(x):
        if x.sum() > 0:
            y = (x * w).tanh()
        else:
            y = x.sin() * w.exp()
        return y.mean()

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        w.grad = None
        result = compiled(sign * grid())
        if result.requires_grad:
            result.backward()
        r.see(w.grad)


@odd
def decides_gradient_trap(r):
    def f(x):
        if x.min() > 0:
            return x.log().sum()
        return (x * 0.5).sum()

    compiled = each_way(r, f)
    compiled(torch.zeros(2, 3, requires_grad=True))


@odd
def decides_second_gradient(r):
    def f(x):
        (slope,) = torch.autograd.grad((x**3 if x.sum() > 0 else x**2).sum(), x, create_graph=True)
        return (slope * slope).sum()

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        compiled((sign * grid()).requires_grad_())


@odd
def decides_double_backward_outside(r):
    def f(x):
        return (x**3).sum() if x.sum() > 0 else (x**2).sum()

    compiled = r.compile(f)
    for sign in BOTH_WAYS:
        x = (sign * grid()).requires_grad_()
        result = compiled(x)
        if result.requires_grad:
            try:
                (slope,) = torch.autograd.grad(result, x, create_graph=True)
                r.see(slope, *torch.autograd.grad(slope.sum(), x))
            except RuntimeError as error:
                r.see("refused" if "double backward" in str(error) else str(error))


@odd
def decides_dropout(r):
    def f(x):
        if x.sum() > 0:
            return F.dropout(x, 0.5)
        return x * 2

    each_way(r, f)


@odd
def decides_dropout_off(r):
    def f(x):
        if x.sum() > 0:
            y = F.dropout(x * 2, 0.5, training=False)
        else:
            y = x * 2
        return y + 1

    each_way(r, f)


@odd
def decides_draws(r):
    def f(x):
        y = x + torch.rand(3)
        if x.sum() > 0:
            y = y + torch.randn(2, 3)
        return y + torch.rand(3)

    each_way(r, f)


@odd
def decides_beside_draws(r):
    def f(x):
        y = x + torch.rand(3)
        if y.sum() > 3:
            y = y * 2
        else:
            y = y - 1
        return y + torch.rand(3)

    each_way(r, f)


@odd
def decides_python_draws(r):
    import random

    def f(x):
        if x.sum() > 0:
            return x * random.random()
        return x * 2

    each_way(r, f)
