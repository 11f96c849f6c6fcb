"""What an update assumes of its hyper-parameters, in words and back."""

from __future__ import annotations

import itertools
import json

import pytest
import torch

from tessera import torch_internals
from tessera.capture.number_guards import NumberGuards, can_check

FORMULAS = (
    lambda a, b: a if a != 0 else b,
    lambda a, b: a * b if a < b else a,
    lambda a, b: a - b if a + 2 * b > 1 else a / 2,
    lambda a, b: a if 1 - a >= b**2 else b,
    lambda a, b: a if a / (b + 3) <= 0.25 else b,
    lambda a, b: a if abs(a) == 1.0 or b == 2.0 else b,
)


@pytest.mark.parametrize("formula", FORMULAS, ids=range(len(FORMULAS)))
@pytest.mark.parametrize("traced_at", [(0.5, 0.25), (0.0, 2.0), (1.0, 1.0)], ids=str)
def test_they_say_what_the_trace_said(formula, traced_at):
    mode = torch_internals.new_fake_mode()
    numbers = [torch_internals.symbolic_float(mode, f"n{i}", value) for i, value in enumerate(traced_at)]
    torch_internals.trace(lambda a, b: torch.zeros(()) + formula(a, b), *numbers, fake_mode=mode)
    guards = torch_internals.SymbolGuards(mode, numbers)
    words = json.loads(json.dumps(guards.in_words()))
    assert words
    assert all(map(can_check, words))
    checked = NumberGuards(words)
    assert checked(traced_at)
    for values in itertools.product((-1.0, 0.0, 0.1, 0.5, 1.0, 2.0, 3.0), repeat=2):
        assert checked(values) == guards(values)


def test_an_operation_that_nobody_knows():
    assert not can_check(["Unequality", ["sin", ["symbol", 0]], 0.0])
    assert can_check(["Unequality", ["Mul", ["symbol", 0], 2.0], 0.0])
