from __future__ import annotations

import ast

import torch

from tessera.check.text_edits import text_edits
from tests.check.edited import after, edits


def test_the_default_of_an_argument_becomes_another_number():
    changed = after("def f(x, kernel=16, *, groups=2):\n    return g(x)", "15 in place of 16")
    assert changed == "def f(x, kernel=15, *, groups=2):\n    return g(x)"
    assert "1 in place of 2" in edits("def f(x, kernel=16, *, groups=2):\n    return g(x)")


def test_constants_are_those_of_another_call_of_the_same():
    found = edits("def f(a, b):\n    x = a.view(-1, 1, 1)\n    return x * b.view(-1, 1)")
    assert "b.view(-1, 1, 1) in place of b.view(-1, 1)" in found


def test_all_of_what_is_written_anew_is_in_the_line_of_what_was_there():
    (function,) = ast.parse("def f(x):\n    y = 1\n    return x").body
    some = list(text_edits(function, {"x": torch.zeros(2, 3)}, [7], returned=[(".reshape(B)", ".reshape(6)")]))
    lines = {node.lineno for edit in some if "reshape" in edit.text for node in ast.walk(edit.new) if node._attributes}
    assert lines == {3}


def test_a_name_that_nothing_else_uses_is_the_likelier_one_and_one_that_would_be_left_over_is_not():
    names = {"x": torch.zeros(2), "y": torch.zeros(3), "z": torch.zeros(4)}
    found = edits("def f(x, y, z):\n    return g(x) + x + z", names)
    assert found["y in place of x"].cost < found["z in place of x"].cost < found["x in place of z"].cost


def test_annotations_and_functions_inside_are_left_alone():
    text = "def f(x: g(1, 2)):\n    y: g(3, 4) = x\n    def inner():\n        return g(5, 6)\n    return y"
    assert not any("g(" in shown for shown in edits(text))


def test_what_reaches_outside_is_left_alone():
    assert edits("def f(a, b):\n    os.replace(a, b)\n    with open(a, 3) as file:\n        print(1, 2)") == {}


def test_who_is_written_to_is_exchanged():
    names = {"x": torch.ones(3, 4), "y": torch.ones(3, 2)}
    found = edits("def f(x, y):\n    return y.scatter(1, i, x)", names)
    assert "x.scatter(1, i, y) in place of y.scatter(1, i, x)" in found


def test_an_order_that_stands_elsewhere_is_seldom_meant():
    names = {"n": 3, "m": 4}
    again = edits("def f(n, m):\n    a = torch.ones(2, n, m)\n    b = torch.ones(2, m, n)\n    return g(a, b)", names)
    alone = edits("def f(n, m):\n    a = torch.ones(3, n, m)\n    b = torch.ones(2, m, n)\n    return g(a, b)", names)
    text = "torch.ones(2, n, m) in place of torch.ones(2, m, n)"
    assert again[text].cost > alone[text].cost
