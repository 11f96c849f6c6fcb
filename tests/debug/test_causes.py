from __future__ import annotations

import pytest
import torch

from tessera.debug.causes import backward_cause, forward_cause
from tessera.debug.ranges import range_of


@pytest.mark.parametrize(
    ("name", "kind", "operands", "why"),
    [
        ("log", "-inf", [torch.zeros(1)], "The log of 0 is -inf"),
        ("div_", "inf", [torch.ones(2), torch.zeros(2)], "A number is divided by 0."),
        ("div", "NaN", [torch.zeros(2), torch.zeros(2)], "0 is divided by 0."),
        ("div", "inf", [torch.full((1,), 3e38), torch.full((1,), 1e-3)], "larger than any number"),
        ("exp", "inf", [torch.full((1,), 100.0)], "larger than any number"),
        ("_softmax", "NaN", [torch.full((2,), -torch.inf)], "has no softmax"),
        ("mean", "NaN", [torch.ones(0)], "The mean of no values at all"),
        ("std", "NaN", [torch.ones(1)], "n - 1 is 0"),
        ("sub", "NaN", [torch.full((2,), torch.inf)], "inf - inf"),
        ("acos", "NaN", [torch.full((2,), 1.0001)], "from -1 to 1"),
        ("native_layer_norm", "NaN", [torch.ones(2)], "eps is 0"),
        ("frobnicate", "NaN", [torch.ones(2)], "outside of what it is defined for"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_in_a_forward(name, kind, operands, why):
    found = forward_cause(name, kind, [range_of(operand) for operand in operands])
    assert why in found.why
    assert found.instead.endswith((".", "))"))


def test_half_precision_is_told_its_end():
    found = forward_cause("mm", "inf", [range_of(torch.ones(1, dtype=torch.float16))])
    assert "65504" in found.instead


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ("SqrtBackward0", "The slope of the root is infinite at 0."),
        ("LogSumExpBackward0", "LogSumExp".lower() and "has no slope"),
        ("LogBackward0", "The slope of the log is infinite at 0."),
        ("Log1PBackward0", "log1p"),
        ("MulBackward0", "larger than any number"),
    ],
)
def test_in_a_backward(node, why):
    assert why in backward_cause(node, "inf", [range_of(torch.ones(1))]).why


def test_the_where_trap():
    found = backward_cause("MulBackward0", "NaN", [range_of(torch.zeros(1)), range_of(torch.tensor([torch.inf]))])
    assert "0 * inf" in found.why
    assert "torch.where(good, x, 1.0)" in found.instead
