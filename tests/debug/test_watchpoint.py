from __future__ import annotations

import math

import pytest
import torch

from tessera.debug.watchpoint import Watchpoint
from tessera.errors import SettingError


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("blocks.*.attn", "blocks.3.attn", True),
        ("blocks.*.attn", "blocks.3.inner.attn", False),
        ("blocks.**.attn", "blocks.3.inner.attn", True),
        ("blocks.*.att*", "blocks.3.attn", True),
        ("blocks.*", "blocks.3.attn", False),
        ("**", "", True),
        ("head", "head", True),
    ],
)
def test_a_star_is_one_part_of_a_path(pattern, path, fits):
    assert Watchpoint(pattern).fits(path) is fits


@pytest.mark.parametrize(
    ("condition", "tensor", "wrong"),
    [
        ({"max_abs": 2}, torch.tensor([-3.0]), True),
        ({"max_abs": 2}, torch.tensor([math.inf]), True),
        ({"max_abs": 3}, torch.tensor([-3.0]), False),
        ({"min_std": 0.1}, torch.ones(4), True),
        ({"min_std": 0.1}, torch.tensor([0.0, 1.0]), False),
        ({"has_nan": True}, torch.tensor([math.nan]), True),
        ({"has_nan": True}, torch.ones(1), False),
        ({"shape": ["B", 3]}, torch.ones(2, 3), False),
        ({"shape": [None, 4]}, torch.ones(2, 3), True),
        ({"when": lambda t: t.sum() > 2}, torch.ones(3), True),
        ({"when": lambda t: t.sum() > 2}, torch.ones(2), False),
        ({}, torch.ones(2), True),
    ],
)
def test_conditions(condition, tensor, wrong):
    assert bool(Watchpoint("*", **condition).wrong(tensor)) is wrong


@pytest.mark.parametrize("wrong", [{"on": "input"}, {"action": "stop"}, {"max_abs": -1}, {"min_std": "small"}], ids=str)
def test_arguments_that_make_no_sense(wrong):
    with pytest.raises(SettingError, match=f"{next(iter(wrong))}="):
        Watchpoint("*", **wrong)


def test_a_pattern_is_a_path():
    with pytest.raises(SettingError, match="path of a layer"):
        Watchpoint("")
