from __future__ import annotations

from tests.check.edited import edits


def test_the_line_beside_has_another_name_or_does_more():
    found = edits("def f(x, y):\n    k = self.split(self.key(y))\n    v = self.split(self.value(x))\n    return k, v")
    assert found["y in place of x"].line == 3
    found = edits("def f(x, y):\n    a = (x * m).sum(1)\n    b = y * n\n    return a, b")
    assert "(y * n).sum(1) in place of y * n" in found
    found = edits("def f(x, y):\n    a = (x + m).sum(1)\n    b = y * n\n    return a, b")
    assert not any("sum" in text for text in found)


def test_what_the_line_beside_does_more_may_have_other_numbers_inside():
    found = edits("def f(d):\n    a = d.amin(2).mean(1)\n    b = d.amin(1)\n    return a + b")
    assert "d.amin(1).mean(1) in place of d.amin(1)" in found
