"""Divisors that can be zero, and arguments outside of their domain."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import tessera
from tests.backend.ranges.asking import X, kinds

LAYER = torch.nn.Linear(8, 8)


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: x / x.norm(), "division by zero"),
        (lambda x: x * x.var(0).rsqrt(), "division by zero"),
        (lambda x: x.relu().reciprocal(), "division by zero"),
        (lambda x: x.abs() ** -2, "division by zero"),
        (lambda x: x / LAYER(x), "division by zero"),
        (lambda x: x.addcdiv(x, x.relu()), "division by zero"),
        (lambda x: LAYER(x).sqrt(), "domain"),
        (lambda x: LAYER(x) ** 1.5, "domain"),
        (lambda x: x.sigmoid().logit(), "domain"),
        (lambda x: (1 + x.tanh()).acosh(), "domain"),
        (lambda x: (x.tanh() * 2).asin(), "domain"),
        (lambda x: torch.log(x.det() if x.ndim > 2 else (x @ x.T).det()), "domain"),
        (lambda x: (x > 0) * float("inf"), "domain"),
        (lambda x: x.dropout(0.5, train=True).log() if hasattr(x, "nope") else F.dropout(x.exp(), 0.5).log(), "domain"),
    ],
)
def test_it_is_found(function, kind):
    assert kinds(function, X) == [kind]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x / x.sum(),
        lambda x: x.log() + x.sqrt() + x.rsqrt() + x.reciprocal(),
        lambda x: x / x.softmax(-1).sum(),
        lambda x: x / (x.norm() + 1e-12),
        lambda x: x / x.norm().clamp(min=1e-12),
        lambda x: LAYER(x) / LAYER(x).norm(),
        lambda x: x // x.abs(),
        lambda x: x.sigmoid().logit(eps=1e-6),
        lambda x: x.asin() + x.acosh() + x.atanh(),
        lambda x: x.tanh().asin(),
        lambda x: x.tanh().clamp(-0.999, 0.999).atanh(),
        lambda x: x.exp().log1p(),
        lambda x: (x.square() + 1).sqrt().log(),
        lambda x: x ** 1.5,
        lambda x: x.masked_fill(x > 0, float("-inf")).softmax(-1),
    ],
)  # fmt: skip
def test_it_holds_back(function):
    assert kinds(function, X) == []


@pytest.mark.parametrize(
    ("function", "stable"),
    [
        (lambda x: x.softmax(-1).log(), "torch.log_softmax(x, dim=-1)"),
        (lambda x: x.sigmoid().log(), "torch.nn.functional.logsigmoid(x)"),
        (lambda x: (1 - x.sigmoid()).log(), "torch.nn.functional.logsigmoid(-x)"),
        (lambda x: (-x.sigmoid()).log1p(), "torch.nn.functional.logsigmoid(-x)"),
        (lambda x: x / x.norm(), "torch.nn.functional.normalize(x, dim=-1)"),
        (lambda x: x / (x > 0).sum(), "x / y.clamp(min=1)"),
        (lambda x: (x @ x.T).det().log(), "torch.linalg.slogdet(x).logabsdet"),
    ],
)
def test_the_stable_spelling_is_the_one_for_it(function, stable):
    (finding,) = tessera.check_numerics(function, X)
    assert finding.stable == stable
