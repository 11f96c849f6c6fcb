from __future__ import annotations

from tests.check.edited import after, edits


def test_two_methods_of_a_chain_change_places():
    text = "def f(x):\n    return x.relu().flatten(2).transpose(1, 2)"
    shown = "x.relu().transpose(1, 2).flatten(2) in place of x.relu().flatten(2).transpose(1, 2)"
    assert after(text, shown).splitlines()[1] == "    return x.relu().transpose(1, 2).flatten(2)"


def test_what_does_not_lay_out_or_is_no_method_stays():
    assert not any("relu()" in shown for shown in edits("def f(x):\n    return x.sum(1).relu()"))
    assert not any("transpose(0, 1).sum" in s for s in edits("def f(x):\n    return torch.sum(x).transpose(0, 1)"))


def test_what_is_put_together_may_have_to_be_turned_before():
    text = "def f(y):\n    return y.flatten(2)"
    assert after(text, "y.transpose(1, 2).flatten(2) in place of y.flatten(2)").endswith("y.transpose(1, 2).flatten(2)")
