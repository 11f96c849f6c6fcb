from __future__ import annotations

import pytest
import torch

import tessera
from benchmarks import call
from benchmarks.measure import NotMeasured, Timing
from benchmarks.plan import Plan


def forgets(function):
    """A compiler without guards: it keeps its first answer's factor and dtype."""
    kept = []

    def compiled(a, b):
        kept.append(function(a, b))
        return kept[0]

    return compiled


@pytest.mark.parametrize("compiler", [tessera.compile, torch.compile, lambda function: function])
def test_an_add_is_added(compiler):
    assert call.calls(Plan(), compiler, count=3)() == 8.0


def test_a_compiler_without_guards_is_not_measured():
    with pytest.raises(NotMeasured, match=r"wrong after a change: torch.float32, \[2, 3\], 1.0"):
        call.calls(Plan(), forgets)


def test_every_row_is_there(monkeypatch):
    monkeypatch.setattr(call, "in_turns", lambda ways, plan, **_: dict.fromkeys(ways, Timing((1.0,), 8.0, 1.0)))
    assert {row.peer: row.target for row in call.measure(Plan()).rows} == {call.TORCH_COMPILE: ">= 2x", call.EAGER: ""}
