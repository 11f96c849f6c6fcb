from __future__ import annotations

from tests.check.edited import edits


def test_items_change_places_and_one_too_many_goes():
    found = edits("def f(a, b):\n    return g([a, b])")
    assert {"[b, a] in place of [a, b]", "[a] in place of [a, b]"} <= set(found)
    assert "(b, a) in place of (a, b)" in edits("def f(a, b):\n    return (a, b)")


def test_where_a_slice_starts_is_added_to_where_it_ends():
    assert "a + n in place of n" in edits("def f(x, a, n):\n    return x[a:n]")


def test_what_is_done_to_the_item_beside():
    assert "a.sum(1) in place of a" in edits("def f(a, b):\n    return a, b.sum(1)")
    assert "a.mT in place of a" in edits("def f(a, b):\n    return g([a, b.mT])")
    assert "a[:, None] in place of a" in edits("def f(a, b):\n    return (b[:, None], a)")


def test_a_dimension_of_all_that_is_taken_alike_is_kept():
    found = edits("def f(x):\n    a, b = x[:, 7], x[:, 3]\n    return a - b")
    assert any(shown.endswith("in place of (x[:, 7], x[:, 3])") and "7:8" in shown for shown in found)
    assert not any("7:8" in shown for shown in edits("def f(x):\n    a, b = x[:, 7], x\n    return a - b"))
