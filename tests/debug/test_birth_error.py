from __future__ import annotations

import pytest
import torch
from torch import nn

import tessera
from tessera.errors import NonFiniteValueError


class Gate(nn.Module):
    def forward(self, p):
        return torch.log(p)


def test_the_whole_text():
    net = nn.Sequential(nn.Identity(), Gate())
    x = torch.tensor([0.0, 0.5])
    with pytest.raises(NonFiniteValueError) as caught, tessera.debug_mode():
        net(x)
    error = caught.value
    assert (error.operator, error.kind, error.phase) == ("aten.log", "-inf", "forward")
    assert (error.layer, error.expression) == ("1", "torch.log(p)")
    assert str(error) == (
        "aten.log bore 1 -inf among 2 values: torch.log(p) in the layer 1. It was given p float32[2] in [0, 0.5]. "
        "The log of 0 is -inf, that of a negative number NaN. Write torch.log(p.clamp_min(1e-12)), or get "
        f"log-probabilities from log_softmax.\n  at {__file__}:{error.where.line}  return torch.log(p)"
    )


def test_a_backward_and_an_update_say_so():
    w = nn.Parameter(torch.zeros(2))
    with pytest.raises(NonFiniteValueError) as caught, tessera.debug_mode():
        w.sqrt().sum().backward()
    assert str(caught.value).startswith(
        "The backward of w.sqrt() bore 2 inf among 2 values: aten.div in SqrtBackward0."
    )
    w.grad = torch.full((2,), 3e38)
    optimizer = torch.optim.SGD([w], lr=10.0, foreach=False)
    with pytest.raises(NonFiniteValueError) as caught, tessera.debug_mode():
        optimizer.step()
    assert "in the update by SGD: optimizer.step()." in str(caught.value)
