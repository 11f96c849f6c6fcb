from __future__ import annotations

import ast

import torch
from torch import nn

from tessera.check.text_edits import text_edits
from tests.check.edited import after, edits


def test_what_does_nothing_is_dearer_and_so_is_what_leaves_a_name_over():
    found = edits("def f(n):\n    return g(2 * n, n - 1)", {"n": 3})
    assert found["1 in place of 2"].cost > found["3 in place of 2"].cost
    assert found["0 in place of 1"].cost > found["2 in place of 1"].cost
    found = edits("def f(a, b):\n    return g([a, h(b)]) + g(a)")
    assert found["[h(b)] in place of [a, h(b)]"].cost < found["[a] in place of [a, h(b)]"].cost


def test_what_is_one_thing_or_another_was_thought_of():
    found = edits("def f(n, m, last):\n    k = n if last else 2 * n\n    return g(k, 2 * m)", {"n": 3, "m": 4})
    assert found["n + 1 in place of n"].cost > found["m + 1 in place of m"].cost


def test_the_default_of_an_argument_becomes_another_number():
    changed = after("def f(x, kernel=16, *, groups=2):\n    return g(x)", "15 in place of 16")
    assert changed == "def f(x, kernel=15, *, groups=2):\n    return g(x)"
    assert "1 in place of 2" in edits("def f(x, kernel=16, *, groups=2):\n    return g(x)")


def test_numbers_become_others():
    found = edits("def f(x):\n    return range(3)")
    assert {"2 in place of 3", "4 in place of 3", "7 in place of 3"} <= set(found)
    assert found["2 in place of 3"].cost < found["4 in place of 3"].cost < found["7 in place of 3"].cost


def test_a_size_is_computed_otherwise():
    found = edits("def f(n, m):\n    return g(n * m)", {"n": 3, "m": 4})
    assert {"n + m in place of n * m", "n in place of n * m", "n + 1 in place of n", "2 * n in place of n"} <= set(
        found
    )
    assert "m in place of n" in found


def test_the_last_of_what_is_only_given_another_name():
    found = edits("def f(state):\n    last = state\n    return g(last)", {"state": torch.zeros(2, 3)})
    assert "state[-1] in place of state" in found


def test_numbers_of_a_class_stand_for_each_other():
    class Owner(nn.Module):
        wide, deep = 3, 4

    assert "self.deep in place of self.wide" in edits("def f(self):\n    return g(self.wide)", {"self": Owner()})


def test_constants_are_those_of_another_call_of_the_same():
    found = edits("def f(a, b):\n    x = a.view(-1, 1, 1)\n    return x * b.view(-1, 1)")
    assert "b.view(-1, 1, 1) in place of b.view(-1, 1)" in found


def test_all_of_what_is_written_anew_is_in_the_line_of_what_was_there():
    (function,) = ast.parse("def f(x):\n    y = 1\n    return x").body
    some = list(text_edits(function, {"x": torch.zeros(2, 3)}, [7], returned=[(".reshape(B)", ".reshape(6)")]))
    lines = {node.lineno for edit in some if "reshape" in edit.text for node in ast.walk(edit.new) if node._attributes}
    assert lines == {3}


def test_a_layer_may_have_forgotten_what_is_joined():
    found = edits("def f(before, width):\n    return nn.Linear(before, width)", {"before": 3, "width": 4})
    assert "width + before in place of before" in found


def test_a_name_that_nothing_else_uses_is_the_likelier_one_and_one_that_would_be_left_over_is_not():
    names = {"x": torch.zeros(2), "y": torch.zeros(3), "z": torch.zeros(4)}
    found = edits("def f(x, y, z):\n    return g(x) + x + z", names)
    assert found["y in place of x"].cost < found["z in place of x"].cost < found["x in place of z"].cost


def test_attributes_of_the_same_kind_stand_for_each_other():
    class Owner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.deep, self.key, self.value = 3, 4, nn.Linear(2, 2), nn.Linear(2, 3)

    found = edits("def f(self):\n    return self.key(g(self.wide))", {"self": Owner()})
    assert {"self.deep in place of self.wide", "self.value in place of self.key"} <= set(found)


def test_an_end_is_cut_off_where_that_may_be():
    text, names = "def f(x):\n    return g(x)", {"x": torch.zeros(3, 4)}
    assert "x[:-1] in place of x" in edits(text, names, sliced=True)
    assert "x[:-1] in place of x" not in edits(text, names)


def test_what_is_returned_is_laid_out_otherwise():
    names = {"x": torch.zeros(3, 4)}
    once = edits("def f():\n    x = g()\n    return x", names)["x.transpose(-2, -1) in place of x"]
    twice = edits("def f():\n    x = g()\n    h(x)\n    return x", names)["x.transpose(-2, -1) in place of x"]
    assert once.line == 3
    assert once.cost < twice.cost


def test_annotations_and_functions_inside_are_left_alone():
    text = "def f(x: g(1, 2)):\n    y: g(3, 4) = x\n    def inner():\n        return g(5, 6)\n    return y"
    assert not any("g(" in shown for shown in edits(text))


def test_what_reaches_outside_is_left_alone():
    assert edits("def f(a, b):\n    os.replace(a, b)\n    with open(a, 3) as file:\n        print(1, 2)") == {}


def test_items_change_places_and_one_too_many_goes():
    found = edits("def f(a, b):\n    return g([a, b])")
    assert {"[b, a] in place of [a, b]", "[a] in place of [a, b]"} <= set(found)
    assert "(b, a) in place of (a, b)" in edits("def f(a, b):\n    return (a, b)")


def test_where_a_slice_starts_is_added_to_where_it_ends():
    assert "a + n in place of n" in edits("def f(x, a, n):\n    return x[a:n]")


def test_a_transposition_is_left_out():
    assert "x in place of x.T" in edits("def f(x):\n    return g(x.T)", {"x": torch.zeros(2, 3)})


def test_who_is_written_to_is_exchanged():
    names = {"x": torch.ones(3, 4), "y": torch.ones(3, 2)}
    found = edits("def f(x, y):\n    return y.scatter(1, i, x)", names)
    assert "x.scatter(1, i, y) in place of y.scatter(1, i, x)" in found


def test_a_factor_moves_to_the_size_beside():
    found = edits("def f(x):\n    return x.view(b, c * h, w)")
    assert {"x.view(b, c, h * w) in place of x.view(b, c * h, w)"} <= set(found)
    found = edits("def f(x):\n    return x.reshape(b, c, h * w)")
    assert "x.reshape(b, c * h, w) in place of x.reshape(b, c, h * w)" in found


def test_the_line_beside_has_another_name_or_does_more():
    found = edits("def f(x, y):\n    k = self.split(self.key(y))\n    v = self.split(self.value(x))\n    return k, v")
    assert found["y in place of x"].line == 3
    found = edits("def f(x, y):\n    a = (x * m).sum(1)\n    b = y * n\n    return a, b")
    assert "(y * n).sum(1) in place of y * n" in found
    found = edits("def f(x, y):\n    a = (x + m).sum(1)\n    b = y * n\n    return a, b")
    assert not any("sum" in text for text in found)


def test_a_mere_other_name_hints_at_what_was_left_out():
    text = "def f(x):\n    y = x\n    z = y + x\n    return z"
    found = edits(text, {"x": torch.ones(3, 4), "y": torch.ones(3, 4)}, sliced=True)
    assert found["x.transpose(-2, -1) in place of x"].line == 2
    (function,) = ast.parse(text).body
    slices = [e for e in text_edits(function, {"x": torch.ones(3, 4)}, [], sliced=True) if e.text.startswith("x[1:]")]
    assert {edit.line: edit.cost for edit in slices}[2] < {edit.line: edit.cost for edit in slices}[3]


def test_what_is_returned_gets_the_declared_shape():
    text = "def f(x):\n    return x + 1"
    ways = [(".reshape(B, 7)", ".reshape(3, 7)"), ("[:, :B]", "[:, :3]")]
    assert after(text, "(x + 1).reshape(B, 7)", returned=ways).endswith("return (x + 1).reshape(3, 7)")
    assert after(text, "(x + 1)[:, :B]", returned=ways).endswith("return (x + 1)[:, :3]")


def test_a_square_is_of_a_shape_alone():
    names = {"w": 7, "x": 1}
    assert "w * w in place of w" in edits("def f(x, w):\n    return x.reshape(-1, w)", names)
    assert "w * w in place of w" not in edits("def f(x, w):\n    return f(x, w)", names)


def test_a_slice_from_0_on_is_dearer_than_another_number():
    found = edits("def f(x):\n    return x[1:]")
    assert found["0 in place of 1"].cost > found["2 in place of 1"].cost


def test_what_is_asked_for_its_shape_alone_is_cheap_to_exchange():
    names = {"x": torch.zeros(2), "y": torch.zeros(3)}
    like = edits("def f(x, y):\n    return torch.zeros_like(x) + x + y", names)
    other = edits("def f(x, y):\n    return torch.exp(x) + x + y", names)
    assert like["y in place of x"].cost < other["y in place of x"].cost


def test_the_last_axis_is_usual():
    first, last = edits("def f(x):\n    return x.sum(-2)"), edits("def f(x):\n    return x.sum(-1)")
    assert first["1 in place of 2"].cost < last["2 in place of 1"].cost


def test_all_of_a_list_of_numbers_but_the_first_or_the_last():
    found = edits("def f(widths):\n    return zip(widths, widths)", {"widths": (3, 4, 5)})
    assert {"widths[1:] in place of widths", "widths[:-1] in place of widths"} <= set(found)
    assert not any("[1:]" in shown for shown in edits("def f(words):\n    return g(words)", {"words": ["a", "b"]}))


def test_what_is_done_to_the_item_beside():
    assert "a.sum(1) in place of a" in edits("def f(a, b):\n    return a, b.sum(1)")
    assert "a.mT in place of a" in edits("def f(a, b):\n    return g([a, b.mT])")
    assert "a[:, None] in place of a" in edits("def f(a, b):\n    return (b[:, None], a)")


def test_a_large_number_is_seldom_one_more_or_less():
    found = edits("def f(x):\n    return g(250, 3)")
    assert found["2 in place of 3"].cost < 1 < found["249 in place of 250"].cost


def test_the_rest_of_a_larger_count():
    owner = nn.Module()
    owner.kept, owner.count = 6, 16
    found = edits("def f(self):\n    return g(self.kept, self.count)", {"self": owner})
    assert "self.count - self.kept in place of self.kept" in found
    assert "self.kept - self.count in place of self.count" not in found
    assert "m - n in place of n" in edits("def f(n, m):\n    return g(n)", {"n": 3, "m": 4})


def test_an_item_of_what_is_returned_is_laid_out_otherwise():
    found = edits("def f(x, y):\n    return x, y.T", {"x": torch.zeros(2, 3, 4), "y": torch.zeros(2, 3)})
    assert "x.transpose(0, 1) in place of x" in found


def test_a_dimension_of_all_that_is_taken_alike_is_kept():
    found = edits("def f(x):\n    a, b = x[:, 7], x[:, 3]\n    return a - b")
    assert any(shown.endswith("in place of (x[:, 7], x[:, 3])") and "7:8" in shown for shown in found)
    assert not any("7:8" in shown for shown in edits("def f(x):\n    a, b = x[:, 7], x\n    return a - b"))
