"""Random operations of torch, compiled: the numbers that eager draws, and the generator where eager leaves it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.distributions as D
import torch.nn.functional as F
from torch.utils._pytree import tree_leaves

import tessera

OPERATIONS = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "dropout of everything": lambda x: F.dropout(x, 1.0),
    "dropout of a transposed tensor": lambda x: F.dropout((x * 2).t().sin(), 0.3),
    "two dropouts": lambda x: F.dropout(F.dropout(x, 0.3) * 2, 0.5),
    "dropout in bfloat16": lambda x: F.dropout(x.bfloat16(), 0.3),
    "alpha dropout": lambda x: F.alpha_dropout(x, 0.3, training=True),
    "feature alpha dropout": lambda x: F.feature_alpha_dropout(x, 0.3, training=True),
    "dropout1d": lambda x: F.dropout1d(x[None], 0.3),
    "bernoulli": lambda x: torch.bernoulli(x / 2),
    "bernoulli in bfloat16": lambda x: torch.bernoulli((x / 2).bfloat16()),
    "bernoulli of a number": lambda x: torch.empty_like(x).bernoulli_(0.3) * x,
    "uniform and normal": lambda x: x * torch.rand(6, 8) + torch.randn_like(x),
    "in float64": lambda x: x * torch.rand(6, 8, dtype=torch.float64) + torch.randn(6, 8, dtype=torch.float64),
    "integers": lambda x: x[torch.randint(0, 6, (4,))] + torch.randint(0, 2**40, (8,)),
    "permutation": lambda x: x[torch.randperm(6)],
    "in place": lambda x: torch.empty_like(x).uniform_(-1, 1) + torch.empty_like(x).normal_(1, 2) + x,
    "exponential, Cauchy, geometric": lambda x: (
        torch.empty_like(x).exponential_() + torch.empty_like(x).cauchy_() + torch.empty_like(x).geometric_(0.3) + x
    ),
    "multinomial": lambda x: torch.multinomial(x.softmax(-1), 3),
    "normal of tensors": lambda x: torch.normal(x, x + 1),
    "Poisson": lambda x: torch.poisson(x * 3),
    "randomised ReLU": lambda x: F.rrelu(x - 1, training=True),
    "Gumbel": lambda x: F.gumbel_softmax(x, 0.7, hard=True),
    "fractional pooling": lambda x: F.fractional_max_pool2d(x[None], 2, output_size=(3, 4)),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.3),
    "unused": lambda x: (torch.rand(5), x * 2)[1],
    "used as nothing": lambda x: x + torch.rand(6, 8) * 0,
    "decides": lambda x: F.dropout(x, 0.5) if torch.rand(()) < 0.5 else x + torch.randn_like(x),
    "Python and NumPy": lambda x: F.dropout(x * random.random(), 0.2) + float(np.random.rand()),  # noqa: NPY002
    "a generator made inside": lambda x: x + torch.rand(6, 8, generator=torch.Generator().manual_seed(5)),
    "distributions": lambda x: D.Normal(x, 1.0).rsample() + D.Gamma(x, 1.0).rsample() + D.Bernoulli(x / 2).sample(),
    "computed again": lambda x: torch.utils.checkpoint.checkpoint(
        lambda y: F.dropout(y.sin(), 0.5).cos(), x, use_reentrant=False
    ),
}
FAST = ("dropout of everything", "bernoulli", "permutation")


def check(name):
    seen = []
    for function in (OPERATIONS[name], tessera.compile(OPERATIONS[name])):
        tessera.seed(1)
        found = []
        for _ in range(3):
            x = torch.linspace(0.1, 1.9, 48).reshape(6, 8).requires_grad_()
            leaves = tree_leaves(function(x))
            ends = [leaf.sum() for leaf in leaves if leaf.requires_grad]
            if ends:
                sum(ends).backward()
            found.append([*leaves, x.grad])
            found.append((torch.get_rng_state(), random.random(), np.random.random()))  # noqa: NPY002
        seen.append(found)
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FAST)
def test_a_draw_is_eagers(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_draw_is_eagers(name):
    check(name)
