from __future__ import annotations

import re

from tessera.program.page.lines_table import lines_table
from tests.program.page.hand_made import calls


def values(table: str) -> list[list[float]]:
    rows = table.split("<tr>")[2:]
    return [[float(value) for value in re.findall(r'data-value="([^"]*)"', row)] for row in rows]


def test_lines_are_added_up_over_calls_and_sorted_by_time():
    table = lines_table(calls())
    assert values(table) == [[3.25, 4.5, 8.25, 2], [0.75, 1.5, 0.75, 1], [0.5, 1, 0, 1]]
    assert "net.py:7" in table
    assert "<code>y = x @ w</code>" in table
    assert "(update)" in table


def test_without_a_measurement_there_is_no_time():
    assert values(lines_table(calls(measured=False)))[0] == [4.5, 8.25, 2]
    assert ">ms<" not in lines_table(calls(measured=False))
    assert lines_table([]) == ""
