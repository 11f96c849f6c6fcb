from __future__ import annotations

import pytest
import torch

import tessera
from tessera.errors import SettingError


def test_name_range_origin_and_parents():
    with tessera.debug_mode() as debug:
        x = torch.ones(2, 3)
        y = x * 2
        found = debug.info(y)
        assert found == tessera.debug.describe(y)
    assert (found.name, found.shape, found.dtype) == ("y", (2, 3), torch.float32)
    assert found.origin.place.expression == "x * 2"
    assert [parent.place.expression for parent in found.parents] == ["torch.ones(2, 3)"]
    lines = str(found).splitlines()
    assert lines[0] == "y: float32[2, 3] all 2 on cpu"
    assert lines[1].startswith("  made by #2 aten.mul: x * 2 -> float32[2, 3] all 2 at ")
    assert lines[2].startswith("  from #1 aten.ones: torch.ones(2, 3)")


def test_a_view_knows_where_it_comes_from():
    with tessera.debug_mode() as debug:
        w = torch.ones(2, 3, requires_grad=True)
        row = (w * 2)[0].view(3, 1)
        found = debug.info(row)
    assert found.origin.name == "aten.view"
    assert found.parents[0].name == "aten.select"
    assert found.requires_grad


def test_gradient_and_declared_dims():
    w = torch.ones(2, requires_grad=True)
    (w * 3).sum().backward()
    with tessera.debug_mode() as debug:
        debug.origins.declare(w, ("B",))
        text = str(debug.info(w))
    assert "as [B]" in text
    assert "its gradient: float32[2] all 3" in text
    assert "was there before the block" in text


def test_outside_of_a_mode_there_is_no_origin():
    x = torch.ones(2)
    assert tessera.debug.describe(x).origin is None
    with pytest.raises(SettingError, match="A list was to be described"):
        tessera.debug.describe([x])
