"""What users of torch.compile and JAX were surprised by, once more: with modules, gradients and random numbers."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from tests.contracts.odd.recorder import grid, odd


def leaf():
    return grid().requires_grad_()


@odd
def in_place_on_a_slice_of_a_parameter(r):
    net = nn.Linear(3, 3)
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)

    def f(x):
        with torch.no_grad():
            net.weight[0].mul_(2)
            net.bias.copy_(x.sum(0))
        return net(x)

    f = r.compile(f)
    for _ in range(2):
        f(grid())
        r.see(net.weight, net.bias)


@odd
def buffer_rolls(r):
    class Ring(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("ring", torch.zeros(3))
            self.at = 0

        def forward(self, x):
            self.ring[self.at] = x.sum()
            self.at = (self.at + 1) % 3
            return self.ring * 1, self.ring.roll(1)

    net = Ring()
    f = r.compile(net)
    for k in range(5):
        f(grid() * k)
        r.see(net.ring, net.at)


@odd
def buffer_becomes_none(r):
    class Opt(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("k", torch.tensor(2.0))

        def forward(self, x):
            return x if self.k is None else x * self.k

    net = Opt()
    f = r.compile(net)
    f(grid())
    net.k = None
    f(grid())
    net.k = torch.tensor(5.0)
    f(grid())
    r.see(sorted(net.state_dict()))


@odd
def parameter_in_a_dict_of_a_module(r):
    class Tables(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.ParameterDict({"a": torch.ones(3)})
            self.plain = {"b": torch.full((3,), 2.0)}

        def forward(self, x, name):
            return x * (self.table[name] if name in self.table else self.plain[name])

    net = Tables()
    f = r.compile(net)
    f(grid(), "a")
    f(grid(), "b")
    net.plain["b"].mul_(3)
    f(grid(), "b")
    net.table["b"] = torch.full((3,), 7.0)
    f(grid(), "b")


@odd
def backward_accumulates_into_a_list(r):
    sizes = []

    class Noting(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.k = k
            sizes.append(x.shape[0])
            return x * k

        @staticmethod
        def backward(ctx, g):
            sizes.append(-ctx.k)
            return g * 10, None

    f = r.compile(lambda x, k: Noting.apply(x, k) + 1)
    f(leaf(), 2)
    f(leaf(), 3)
    r.see(sizes)


@odd
def gradient_of_what_is_written_twice(r):
    def f(x):
        y = x * 2
        y[0] = y[1] * 3
        y[:, 1] += y[:, 0]
        return y

    f = r.compile(f)
    f(leaf())
    f(grid())


@odd
def stop_of_gradients(r):
    def f(x):
        y = x.detach() * x
        with torch.no_grad():
            z = x * 5
        return y + z, (x - x.detach()).sum(), torch.where(x > 2, x, x.detach())

    f = r.compile(f)
    f(leaf())


@odd
def retained_graphs(r):
    def f(x):
        y = (x**2).sum()
        a = torch.autograd.grad(y, x, retain_graph=True)[0]
        b = torch.autograd.grad(y, x)[0]
        return a + b

    f = r.compile(f)
    f(leaf())
    f(leaf())


@odd
def random_state_forked_inside(r):
    def f(x):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            a = torch.rand(2)
        return a, torch.rand(2), random.gauss(0, 1), np.random.randint(0, 100)

    f = r.compile(f)
    f(grid())
    f(grid())


@odd
def dropout_and_python_choice(r):
    def f(x):
        if random.random() < 0.5:
            x = F.dropout(x, 0.5)
        return x + torch.randint(0, 10, (3,)), torch.multinomial(torch.ones(4), 2)

    f = r.compile(f)
    for _ in range(4):
        f(grid())
