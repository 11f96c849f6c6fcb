from __future__ import annotations

from tessera.program.page.cells import heads, number


def test_cells_hold_the_value_that_they_are_sorted_by():
    assert number(1234.5678, 1) == '<td class="number" data-value="1234.57">1,234.6</td>'
    assert number(None, 1) == '<td class="number"></td>'


def test_headings_say_how_to_sort():
    assert heads({"ms": "number", "line": "text"}) == (
        '<th data-sort="number" class="number">ms</th><th data-sort="text">line</th>'
    )
