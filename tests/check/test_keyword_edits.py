from __future__ import annotations

from tests.check.edited import edits


def test_a_dilation_is_what_its_padding_is_made_for():
    found = edits("def f(n, r):\n    return nn.Conv1d(n, n, 3, padding=r)")
    assert "nn.Conv1d(n, n, 3, padding=r, dilation=r) in place of nn.Conv1d(n, n, 3, padding=r)" in found
    assert not any("dilation" in shown for shown in edits("def f(n):\n    return nn.Conv1d(n, n, 3, padding=1)"))


def test_there_are_as_many_groups_as_channels():
    assert "nn.Conv2d(n, n, 3, groups=n) in place of nn.Conv2d(n, n, 3)" in edits(
        "def f(n):\n    return nn.Conv2d(n, n, 3)"
    )
    found = edits("def f(x, w):\n    return F.conv1d(x, w)")
    assert "F.conv1d(x, w, groups=x.shape[1]) in place of F.conv1d(x, w)" in found
    assert not any("groups" in shown for shown in edits("def f(x, w):\n    return F.linear(x, w)"))


def test_what_the_function_calls_as_the_keyword_is_called():
    text = "def f(n, dilation):\n    return nn.Conv1d(n, n, 3)"
    found = edits(text, {"n": 8, "dilation": 2})
    shown = "nn.Conv1d(n, n, 3, dilation=dilation) in place of nn.Conv1d(n, n, 3)"
    assert found[shown].cost < found["nn.Conv1d(n, n, 3, groups=n) in place of nn.Conv1d(n, n, 3)"].cost
