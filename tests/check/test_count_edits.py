from __future__ import annotations

from torch import nn

from tests.check.edited import edits


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


def test_a_layer_may_have_forgotten_what_is_joined():
    found = edits("def f(before, width):\n    return nn.Linear(before, width)", {"before": 3, "width": 4})
    assert "width + before in place of before" in found


def test_a_factor_moves_to_the_size_beside():
    found = edits("def f(x):\n    return x.view(b, c * h, w)")
    assert {"x.view(b, c, h * w) in place of x.view(b, c * h, w)"} <= set(found)
    found = edits("def f(x):\n    return x.reshape(b, c, h * w)")
    assert "x.reshape(b, c * h, w) in place of x.reshape(b, c, h * w)" in found


def test_a_square_is_of_a_shape_alone():
    names = {"w": 7, "x": 1}
    assert "w * w in place of w" in edits("def f(x, w):\n    return x.reshape(-1, w)", names)
    assert "w * w in place of w" not in edits("def f(x, w):\n    return f(x, w)", names)


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


def test_two_sizes_may_not_be_alike():
    found = edits("def f(past, future):\n    return nn.Linear(3, 2 * future)", {"past": 5, "future": 4})
    assert "past + future in place of 2 * future" in found
    assert not any("past +" in text for text in edits("def f(past, future):\n    return g(3 * future)", {"past": 5}))


def test_how_many_parts_there_are_of_a_size():
    names = {"h": 12, "w": 8, "size": 4, "other": 5}
    found = edits("def f(x, h, w, size, other):\n    return g(x // (h * w), size, other)", names)
    assert "h // size * (w // size) in place of h * w" in found
    assert "h // other * (w // other) in place of h * w" not in found


def test_nothing_is_divided_by_itself():
    found = edits("def f(n, m):\n    return g(n * n, n * m)", {"n": 3, "m": 4})
    assert found["n // n in place of n * n"].cost > found["n // m in place of n * m"].cost
