"""All rules in one table."""

from __future__ import annotations

import torch

from tessera.backend.ranges.rules.table import RULES


def test_the_rules_are_named_after_operations():
    names = {str(name).partition(".")[0] for name in torch.ops.aten} | {"getitem"}
    names |= {name for name in RULES if hasattr(torch.ops.aten, name)}
    assert set(RULES) - names == set()


def test_the_most_common_operations_have_one():
    assert {"add", "sub", "mul", "div", "exp", "log", "sum", "mean", "mm", "addmm", "convolution", "view"} <= set(RULES)
