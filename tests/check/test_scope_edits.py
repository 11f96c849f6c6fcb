from __future__ import annotations

from types import SimpleNamespace

import torch

from tests.check.edited import edits


def test_a_constant_may_be_meant_as_a_name():
    names = {"self": SimpleNamespace(parts=5), "n": 4}
    found = edits("def f(self, x, n):\n    return x.split(3)", names)
    assert {"self.parts in place of 3", "n in place of 3"} <= set(found)
    assert not any(
        "in place of 2" in shown
        for shown in edits("def f(self, x, n):\n    return x.transpose(1, 2)", names)
        if "parts" in shown
    )


def test_a_tensor_may_be_meant_up_to_a_name_that_does_not_fit():
    names = {"x": torch.zeros(3, 9), "n": 7, "other": 5}  # 7 is a size that does not fit somewhere
    found = edits("def f(x, w, n, other):\n    return w * x", names)
    assert "x[:, :n] in place of x" in found
    assert not any(":other" in shown or shown.startswith("x[:n]") for shown in found)


def test_a_number_that_says_how_a_window_moves_may_be_meant_as_a_name():
    found = edits("def f(n, step):\n    return nn.Conv1d(n, n, 3, padding=1, bias=True)", {"n": 8, "step": 2})
    assert "step in place of 1" in found
    assert "step in place of True" not in found
    assert "n in place of 1" not in edits("def f(x, n):\n    return g(x, order=1)", {"n": 8})
