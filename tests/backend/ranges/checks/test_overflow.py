"""Results too large or too small for their format."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import tessera
from tests.backend.ranges.asking import HALF, X, kinds


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: x * 1e39, "overflow"),
        (lambda x: x * 1e10, "overflow"),
        (lambda x: (x * 1e10).square(), "overflow"),
        (lambda x: x.exp() / x.exp().sum(), "overflow"),
        (lambda x: (x - x.mean()).exp().sum().log(), "overflow"),
        (lambda x: x.cosh().log(), "overflow"),
        (lambda x: 1 / (1 + (-x).exp()), "overflow"),
        (lambda x: (1 + (-x).exp()).reciprocal(), "overflow"),
        (lambda x: x.exp().exp(), "overflow"),
        (lambda x: x.square().sum().exp(), "overflow"),
        (lambda x: (x.tanh() * 100).exp(), "overflow"),
        (lambda x: x / 1e50, "underflow"),
        (lambda x: (-1e3 - x.square()).exp(), "underflow"),
        (lambda x: x.sigmoid().expand(100, 4, 8).prod(), "underflow"),
        (lambda x: (-x.square()).exp() / (-x.square()).exp().sum(), "division by zero"),
    ],
)
def test_it_is_found(function, kind):
    assert kinds(function, X) == [kind]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * 1e7,
        lambda x: torch.sigmoid(x * 1e10),
        lambda x: (x * 1e10).clamp(max=50).exp(),
        lambda x: x + (x > 0) * -1e10,
        lambda x: x + x.relu() * -1e10,
        lambda x: x.exp() / (x.exp() + x),
        lambda x: x.exp() / x,
        lambda x: x / x.exp(),
        lambda x: (1 + (-x.abs()).exp()).log(),
        lambda x: (x.tanh().exp()) / x.tanh().exp().sum(),
        lambda x: (-x.exp()).exp(),
        lambda x: (-x.square()).exp(),
        lambda x: F.cross_entropy(x, x.softmax(-1)).exp(),
        lambda x: x * 1e-30,
        lambda x: x.sigmoid().prod(-1),
        lambda x: x.tanh().cumprod(0),
        lambda x: (x.tanh() * 80).exp(),
    ],
)
def test_it_holds_back(function):
    assert kinds(function, X) == []


def test_the_format_decides():
    assert kinds(lambda x: (x.tanh() * 20).exp(), HALF) == ["overflow"]
    assert kinds(lambda x: (x.tanh() * 20).exp(), HALF.bfloat16()) == []
    assert kinds(lambda x: x * 1e-9, HALF) == ["underflow"]


def test_the_message_of_an_exp_names_the_limit():
    (finding,) = tessera.check_numerics(lambda x: torch.exp(x * 1e9), X)
    assert "larger than 88.7 (float32): they reach 1e+09" in finding.message


def test_the_line_is_where_the_exponential_is_made():
    def f(x):
        e = torch.exp(x)
        total = e.sum(-1, keepdim=True)
        return e / total

    (finding,) = tessera.check_numerics(f, X)
    assert finding.where.code == "e = torch.exp(x)"
    assert finding.stable == "torch.softmax(x, dim=-1)"
