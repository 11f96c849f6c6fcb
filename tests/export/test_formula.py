from __future__ import annotations

import pytest

from tessera.export.formula import can_change, most, solved
from tessera.shapes.size import read_size


@pytest.mark.parametrize(
    ("text", "length", "found"),
    [("2*S", 6, {"S": 3}), ("2*S", 5, None), ("S//2 + 1", 3, {"S": 4}), ("S*T", 4, None), ("16 - S", 4, {"S": 12})],
)
def test_the_number_that_gives_a_length(text, length, found):
    assert solved(read_size(text), length) == found


@pytest.mark.parametrize(
    ("text", "longest"), [("2*S", 16), ("16 - S", 15), ("S*T + 1", 41), ("S//T", 8), ("S + U", None)]
)
def test_the_largest_length(text, longest):
    assert most(read_size(text), {"S": 8, "T": 5}) == longest


def test_what_can_be_followed():
    assert [can_change(read_size(text)) for text in ("2*S", "S", "2*(S % 3)", "4", "2*3")] == [True, *[False] * 4]
