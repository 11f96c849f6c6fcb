"""``random="tessera"``: eager and compiled draw the same, whichever random operator it is."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

import tessera
from tessera.random.eager_mode import CHECKPOINTED, drawing

DRAWS = {
    "dropout": lambda x: F.dropout(x, 0.3),
    "dropout of everything": lambda x: F.dropout(x, 1.0),
    "no dropout": lambda x: F.dropout(x, 0.0) + F.dropout(x, 0.5, training=False),
    "dropout of a transposed tensor": lambda x: F.dropout((x * 2).t().sin(), 0.3),
    "dropout in bfloat16": lambda x: F.dropout(x.bfloat16(), 0.3),
    "two dropouts": lambda x: F.dropout(F.dropout(x, 0.3) * 2, 0.5),
    "alpha dropout": lambda x: F.alpha_dropout(x, 0.3, training=True),
    "feature alpha dropout": lambda x: F.feature_alpha_dropout(x, 0.3, training=True),
    "dropout of channels": lambda x: F.dropout1d(x[None], 0.3) + F.dropout2d(x[None, None], 0.5)[0],
    "Bernoulli of tensors": lambda x: torch.bernoulli(x / 2) + torch.empty_like(x).bernoulli_(x / 2),
    "Bernoulli of a number": lambda x: torch.empty_like(x).bernoulli_(0.3) + torch.bernoulli(x.detach(), 0.25),
    "Bernoulli of a half": lambda x: torch.empty_like(x).bernoulli_() * x,
    "uniform": lambda x: x * torch.rand(6, 8) + torch.empty_like(x).uniform_(-1, 1),
    "uniform in other dtypes": lambda x: x * torch.rand(6, 8, dtype=torch.float64) + torch.rand(8).half(),
    "normal": lambda x: torch.randn(6, 8) + torch.empty_like(x).normal_(1, 2) + torch.randn_like(x),
    "like a transposed one": lambda x: (torch.rand_like(x.t()), torch.randn_like(x.t()), torch.rand_like(x[:, ::2])),
    "normal of tensors": lambda x: torch.normal(x, x + 1) + torch.normal(x, 2.0) + torch.normal(1.0, x),
    "normal of numbers": lambda x: torch.normal(1.0, 2.0, (6, 8)) + x,
    "whole numbers": lambda x: x[torch.randint(0, 6, (4,))] + torch.randint(2**40, (8,)) + torch.randint(-3, 3, (8,)),
    "whole numbers alike": lambda x: torch.randint_like(x, 5) + torch.randint_like(x, -5, 5) + x,
    "whole numbers of a size": lambda x: torch.randint(0, x.shape[0], (4,)) + torch.randint(x.shape[1], (4,)),
    "random_": lambda x: torch.empty_like(x).random_(9) + torch.empty_like(x).random_(3, 7) + torch.empty(8).random_(),
    "permutation": lambda x: x[torch.randperm(6)],
    "exponential": lambda x: torch.empty_like(x).exponential_() + torch.empty_like(x).exponential_(3.0),
    "Cauchy": lambda x: torch.empty_like(x).cauchy_() + torch.empty_like(x).cauchy_(1.0, 2.0),
    "geometric": lambda x: torch.empty_like(x).geometric_(0.3) + x,
    "log-normal": lambda x: torch.empty_like(x).log_normal_() + torch.empty_like(x).log_normal_(0.5, 0.25),
    "Gumbel": lambda x: F.gumbel_softmax(x, 0.7, hard=True),
    "attention": lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.3),
    "Tessera's own": lambda x: tessera.dropout(x, 0.3) + tessera.random.rand(6, 8) + F.dropout(x, 0.3),
    "what has no rule": lambda x: torch.multinomial(x.softmax(-1), 3).sum() + F.dropout(x, 0.3),
    "a generator": lambda x: x + torch.rand(6, 8, generator=torch.Generator().manual_seed(5)) + torch.rand(8),
    "decides": lambda x: F.dropout(x, 0.5) if torch.rand(()) < 0.5 else x + torch.randn_like(x),
    "vmap": torch.vmap(lambda row: F.dropout(row, 0.5), randomness="different"),
    "checkpoint": lambda x: checkpoint(lambda y: F.dropout(y.sin(), 0.5).cos(), x, use_reentrant=False),
}
FAST = ("dropout", "uniform", "decides")


def numbers(function, seed=1, calls=3):
    """Results, gradients and the place of torch's generator, call by call."""
    torch.manual_seed(seed)
    found = []
    for _ in range(calls):
        x = torch.linspace(0.1, 1.9, 48).reshape(6, 8).requires_grad_()
        results = function(x)
        results = list(results) if isinstance(results, tuple) else [results]
        if any(result.requires_grad for result in results):
            sum(result.sum() for result in results if result.requires_grad).backward()
        found += [*results, x.grad, torch.get_rng_state()]
    return found


def eagerly(function, said=None):
    def run(*args):
        with drawing("tessera", (said if said is not None else []).append, covers_backward=True):
            return function(*args)

    return run


def check(name):
    found = numbers(tessera.compile(DRAWS[name], random="tessera"))
    expected = numbers(eagerly(DRAWS[name]))
    if name == "checkpoint":  # whose backward is outside
        with drawing("tessera", print, covers_backward=True):
            expected = numbers(DRAWS[name])
    coarse = 0.02 if "bfloat16" in name else 1e-5
    torch.testing.assert_close(found, expected, rtol=coarse, atol=1e-6, check_stride=name == "like a transposed one")
    if "dropout" in name:
        assert all((a == 0).equal(b == 0) for a, b in zip(found, expected, strict=True))


def test_inside_a_checkpoint_whose_backward_is_elsewhere_torch_draws_and_it_is_said():
    said, x = [], torch.ones(40, 40, requires_grad=True)
    torch.manual_seed(2)
    with drawing("tessera", said.append):
        y = checkpoint(lambda x: F.dropout(x * 1.0, 0.5), x, use_reentrant=False)
    y.sum().backward()
    assert torch.equal(x.grad, y)
    assert set(said) == {CHECKPOINTED}
    torch.manual_seed(2)
    assert torch.equal(y, F.dropout(x, 0.5))


@pytest.mark.parametrize("name", FAST)
def test_compiled_and_eager_draw_the_same(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
def test_every_operator_draws_the_same(name):
    check(name)
