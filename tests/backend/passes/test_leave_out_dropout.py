from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import tessera
from tessera.backend.passes.leave_out_dropout import leave_out_dropout
from tests.backend.attention.captures import capture

NOTHING = {
    "not training": lambda x: F.dropout(x, 0.5, training=False),
    "by position": lambda x: F.dropout(x, 0.5, False),
    "never": lambda x: F.dropout(x, p=0.0),
    "the operator": lambda x: torch.dropout(x, 0.3, False),
    "the operator, by name": lambda x: torch.dropout(x, p=0.3, train=False),
}


@pytest.mark.parametrize("form", NOTHING)
def test_dropout_that_drops_nothing_is_its_input(form):
    captured, x = capture(lambda x: NOTHING[form](x).add_(1), torch.ones(3)), torch.ones(3)
    assert leave_out_dropout(captured) == 1
    captured.graph_module.recompile()
    captured.graph_module(x)
    assert x.tolist() == [2, 2, 2]


def test_dropout_that_drops_stays():
    captured = capture(lambda x: F.dropout(x, 0.5) + torch.dropout(x, 0.5, True), torch.ones(3))
    assert leave_out_dropout(captured) == 0


def test_a_write_to_the_result_is_one_to_the_input():
    x = torch.ones(3)
    y = tessera.compile(lambda x: F.dropout(x, 0.5, training=False).add_(1))(x)
    assert y is x
    assert x.tolist() == [2, 2, 2]
