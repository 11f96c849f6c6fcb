from __future__ import annotations

from tessera.errors import SourceLine
from tessera.profile.comparison import compare
from tessera.profile.line_costs import LineCost


def cost(line: int, code: str, milliseconds: float) -> LineCost:
    return LineCost(SourceLine("/a/net.py", line, code), milliseconds)


def test_lines_are_found_again_where_they_moved():
    before = [cost(3, "y = f(x)", 4.0), cost(4, "z = g(y)", 2.0)]
    after = [cost(9, "y = f(x)", 1.0), cost(10, "z = h(y)", 2.5)]
    found = compare((6.0, before), (3.5, after))
    assert [(one.place, one.before, one.after) for one in found.lines] == [
        ("net.py:9", 4.0, 1.0),
        ("net.py:10", 0.0, 2.5),
        ("net.py:4", 2.0, 0.0),
    ]
    assert str(found).startswith("6 ms -> 3.5 ms, 0.58 of the time\n")
    assert "-3.000  net.py:9  y = f(x)" in str(found)


def test_the_same_text_twice_is_added_up_and_what_has_no_line_goes_by_its_name():
    update = LineCost(None, 1.0, phases={"update": 1.0})
    found = compare((3.0, [cost(1, "x = f(x)", 1.0), cost(2, "x = f(x)", 1.0), update]), (0.0, [update]))
    assert [(one.place, one.before, one.after) for one in found.lines] == [
        ("net.py:1", 2.0, 0.0),
        ("(update)", 1.0, 1.0),
    ]


def test_nothing_against_nothing():
    assert str(compare((0.0, []), (1.0, []))).startswith("0 ms -> 1 ms\n")
