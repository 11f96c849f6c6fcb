from __future__ import annotations

import pytest

from tests.check.edited import edits


def test_an_argument_that_is_called_as_its_parameter_is_likelier():
    text = "def f(x):\n    return daily(x, FEATURES)"
    names = {"FEATURES": 7, "HOURS": 24}
    some = {"daily": ["x", "hours"]}
    shown = "HOURS in place of FEATURES"
    known, unknown = edits(text, names, parameters=some)[shown].cost, edits(text, names)[shown].cost
    assert known == pytest.approx(unknown - 0.15)
    back = edits(text.replace("FEATURES", "HOURS"), names, parameters=some)["FEATURES in place of HOURS"].cost
    assert back == pytest.approx(unknown + 0.15)


def test_a_number_that_stands_nowhere_else_is_unlikelier_in_place_of_one_that_does():
    twice, once = "def f():\n    return g(64) + h(64)", "def f():\n    return g(64)"
    assert edits(twice)["128 in place of 64"].cost == pytest.approx(edits(once)["128 in place of 64"].cost + 0.12)
    both = "def f():\n    return g(64) + h(64) + k(128)"
    assert edits(both)["128 in place of 64"].cost == pytest.approx(edits(once)["128 in place of 64"].cost)


def test_who_says_a_stride_means_it():
    text = "def f(n):\n    return Conv2d(n, n, 3, stride=2)"
    plain = edits(text.replace("stride", "size"))["1 in place of 2"].cost
    assert edits(text)["1 in place of 2"].cost == pytest.approx(plain + 0.15)
