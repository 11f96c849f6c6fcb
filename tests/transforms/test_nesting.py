"""Transforms in any order agree with torch.autograd, with a loop over the batch, and with what is compiled of them."""

import functools
import random

import pytest
import torch

import tessera

SMALL = [
    lambda x: x.sin(),
    lambda x: x * x.tanh(),
    lambda x: tessera.cond(x.sum() > 0, lambda x: x * 2, lambda x: x.sigmoid(), (x,)),
    lambda x: tessera.scan(lambda h, x: ((h + x).tanh(), h * x), torch.zeros_like(x[0]), x)[1],
    lambda x: tessera.associative_scan(torch.add, x) * 0.3,
    lambda x: tessera.while_loop(lambda n, x: n < 3, lambda n, x: (n + 1, x * 0.9 + x**2 * 0.1), (torch.tensor(0), x))[
        1
    ],
    lambda x: torch.softmax(x, 0),
]


SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 16))]


def program(seed):
    """A random function of a vector to a vector."""
    steps = random.Random(seed).choices(SMALL, k=3)
    return lambda x: functools.reduce(lambda value, step: step(value), steps, x)


def vector(seed):
    return torch.randn(3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_way_to_a_jacobian_is_autograds(seed):
    f, x = program(seed), vector(seed)
    right = torch.autograd.functional.jacobian(f, x)
    close(tessera.jacrev(f)(x), right)
    close(tessera.jacfwd(f)(x), right)
    basis = torch.eye(3, dtype=torch.float64)
    close(tessera.vmap(lambda v: tessera.jvp(f, (x,), (v,))[1])(basis).T, right)
    close(tessera.vmap(lambda v: tessera.vjp(f, x)[1](v)[0])(basis), right)
    close(tessera.vmap(lambda v: tessera.grad(lambda x: f(x) @ v)(x))(basis), right)


@pytest.mark.parametrize("seed", SEEDS)
def test_second_derivatives_in_every_order(seed):
    f, x, v = program(seed), vector(seed), vector(seed + 100)

    def loss(x):
        return f(x).square().sum()

    right = torch.autograd.functional.hessian(loss, x)
    close(tessera.hessian(loss)(x), right)
    close(tessera.jacrev(tessera.grad(loss))(x), right)
    close(tessera.jacfwd(tessera.jacrev(loss))(x), right)
    close(tessera.jvp(tessera.grad(loss), (x,), (v,))[1], right @ v)
    close(tessera.grad(lambda x: tessera.jvp(loss, (x,), (v,))[1])(x), right @ v)
    close(tessera.vjp(tessera.grad(loss), x)[1](v)[0], right @ v)


@pytest.mark.parametrize("seed", SEEDS)
def test_over_a_batch_it_is_the_loop(seed):
    f = program(seed)
    batch = torch.stack([vector(seed + i) for i in range(4)])
    gradient = tessera.grad(lambda x: f(x).square().sum())
    close(tessera.vmap(f)(batch), torch.stack([f(x) for x in batch]))
    close(tessera.vmap(gradient)(batch), torch.stack([gradient(x) for x in batch]))
    close(tessera.grad(lambda batch: tessera.vmap(f)(batch).square().sum())(batch), tessera.vmap(gradient)(batch))
    change = tessera.vmap(lambda x: tessera.jvp(f, (x,), (torch.ones_like(x),))[1])
    close(change(batch), torch.stack([tessera.jacfwd(f)(x).sum(1) for x in batch]))


COMPILED = {
    "grad of vmap": lambda f: tessera.grad(lambda batch: tessera.vmap(f)(batch).square().sum()),
    "vmap of grad": lambda f: tessera.vmap(tessera.grad(lambda x: f(x).sum())),
    "vmap of jvp": lambda f: tessera.vmap(lambda x: tessera.jvp(f, (x,), (torch.ones_like(x),))[1]),
    "hessian": lambda f: lambda batch: tessera.hessian(lambda x: f(x).square().sum())(batch[0]),
    "jvp of grad": lambda f: lambda b: tessera.jvp(tessera.grad(lambda x: f(x).sum()), (b[0],), (b[1],))[1],
}


def test_compiled_it_is_the_same():
    transformed = COMPILED["vmap of grad"](lambda x: SMALL[4](torch.softmax(x, 0)))
    batch = torch.stack([vector(i) for i in range(4)])
    close(tessera.compile(transformed)(batch), transformed(batch))


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("seed", range(12))
def test_compiled_every_program_is_the_same(name, seed):
    transformed = COMPILED[name](program(seed))
    batch = torch.stack([vector(i) for i in range(4)])
    close(tessera.compile(transformed)(batch), transformed(batch))
