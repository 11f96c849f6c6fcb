from __future__ import annotations

import torch

from tests.check.edited import after, edits

TWO = {"a": torch.zeros(3, 4), "b": torch.zeros(3, 5)}


def test_arguments_of_a_call_are_swapped():
    changed = after("def f(a, b):\n    return g(a, b)", "g(b, a) in place of g(a, b)")
    assert changed == "def f(a, b):\n    return g(b, a)"


def test_a_size_is_moved_to_another_place():
    found = edits("def f(x, b, h, w, c):\n    return x.view(b, h, w, c)")
    assert "x.view(b, c, h, w) in place of x.view(b, h, w, c)" in found
    assert "g(b, c, h, w) in place of g(b, h, w, c)" not in edits("def f(b, h, w, c):\n    return g(b, h, w, c)")


def test_two_tensors_that_are_laid_out_for_each_other_are_swapped():
    found = edits("def f(a, b):\n    return a.unsqueeze(1) - b.unsqueeze(0)", TWO)
    assert "b.unsqueeze(1) - a.unsqueeze(0) in place of a.unsqueeze(1) - b.unsqueeze(0)" in found
    found = edits("def f(a, b):\n    return torch.where(a[:, None], b[None], a[:, None])", TWO)
    assert (
        "torch.where(b[:, None], a[None], a[:, None]) in place of torch.where(a[:, None], b[None], a[:, None])" in found
    )
    assert not any("b - a" in text for text in edits("def f(a, b):\n    return a - b", TWO))


def test_the_order_in_which_names_stand_elsewhere_is_the_likelier_one():
    alone = "def f(self, x, n, m):\n    return x.view(n, m)"
    other = "def f(self, x, n, m):\n    m, n = x.shape\n    return x.view(n, m)"
    same = "def f(self, x, n, m):\n    n, m = x.shape\n    return x.view(n, m)"
    prices = [edits(text)["x.view(m, n) in place of x.view(n, m)"].cost for text in (other, alone, same)]
    assert prices == sorted(set(prices))


def test_the_other_factor_of_a_product_is_turned_round():
    assert "a @ b.T in place of a.T @ b" in edits("def f(a, b):\n    return a.T @ b")
    found = edits("def f(a, b):\n    return a @ b.transpose(1, 2)")
    assert "a.transpose(1, 2) @ b in place of a @ b.transpose(1, 2)" in found
    assert not any(text.startswith("a @") for text in edits("def f(a, b):\n    return a.T @ b.T"))
