"""A division by zero raises what PyTorch raises, and the process goes on; divisions that cannot fail stay compiled."""

from __future__ import annotations

import pytest
import torch

import tessera


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", "div"])
def test_zeros_among_whole_numbers_raise(name):
    named = {"rounding_mode": "trunc"} if name == "div" else {}
    compiled = tessera.compile(lambda x, y: getattr(torch, name)(x, y, **named))
    x, y = torch.tensor([7, -7]), torch.tensor([2, 3])
    assert torch.equal(compiled(x, y), getattr(torch, name)(x, y, **named))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        compiled(x, torch.tensor([1, 0]))
    assert not compiled.report.compilations


def test_divisions_that_cannot_fail_are_compiled():
    def f(x, y):
        return x // 3, x % 2, x // y.clamp(min=1), x / y, x.float() % y, x.float() // 0

    compiled = tessera.compile(f)
    x, y = torch.tensor([7, -7]), torch.tensor([0, 3])
    for found, expected in zip(compiled(x, y), f(x, y), strict=True):
        assert torch.equal(found, expected) or bool((found.isnan() == expected.isnan()).all())
    assert compiled.report.compilations
    assert not compiled.report.step_downs


def test_a_training_step_raises_too():
    module = torch.nn.Linear(1, 1)

    def loss(y, divisor):
        return (y * (torch.tensor([6]) // divisor)).sum()

    step = tessera.train_step(module, loss, torch.optim.SGD(module.parameters(), lr=0.1))
    step(torch.ones(1, 1), torch.tensor([2]))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        step(torch.ones(1, 1), torch.tensor([0]))
