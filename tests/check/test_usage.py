from __future__ import annotations

import torch

from tests.check.edited import edits


def test_what_does_nothing_is_dearer_and_so_is_what_leaves_a_name_over():
    found = edits("def f(n):\n    return g(2 * n, n - 1)", {"n": 3})
    assert found["1 in place of 2"].cost > found["3 in place of 2"].cost
    assert found["0 in place of 1"].cost > found["2 in place of 1"].cost
    found = edits("def f(a, b):\n    return g([a, h(b)]) + g(a)")
    assert found["[h(b)] in place of [a, h(b)]"].cost < found["[a] in place of [a, h(b)]"].cost


def test_what_is_one_thing_or_another_was_thought_of():
    found = edits("def f(n, m, last):\n    k = n if last else 2 * n\n    return g(k, 2 * m)", {"n": 3, "m": 4})
    assert found["n + 1 in place of n"].cost > found["m + 1 in place of m"].cost


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


def test_a_power_of_one_does_nothing():
    found = edits("def f(i):\n    return g(2**i, i**3)", {"i": 4})
    assert found["1 in place of 2"].cost > found["3 in place of 2"].cost
    assert found["4 in place of 3"].cost < 1.1


def test_another_tensor_is_likelier_where_it_is_joined():
    names = {"x": torch.zeros(2), "y": torch.zeros(3)}
    joined = edits("def f(x, y):\n    return torch.cat([x, z]) + x + y", names)
    other = edits("def f(x, y):\n    return torch.dot(x, z) + x + y", names)
    assert joined["y in place of x"].cost < other["y in place of x"].cost


def test_a_factor_may_be_turned_round_in_vain():
    names = {"x": torch.zeros(2, 3), "w": torch.zeros(4, 3)}
    found = edits("def f(x, w):\n    return x @ w.T + g(x.T)", names)
    assert found["w in place of w.T"].cost < found["x in place of x.T"].cost
