from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tessera.data.sources.held_groups import HeldGroups
from tessera.data.sources.row_groups import RowGroups
from tessera.errors import DataError

SIZES = [5, 1, 8, 3, 8, 2]


class Groups(RowGroups):
    def take(self, groups, rows, empty):
        raise NotImplementedError


@pytest.fixture
def source():
    return Groups([Path("a")], [SIZES], ["n", "text"])


def group(number):
    numbers = [100 * number + row for row in range(SIZES[number])]
    return pa.table({"n": numbers, "text": [str(n) for n in numbers]})


@pytest.mark.parametrize("width", [1, 2, 3, 6])
def test_rows_of_any_groups_in_any_order(source, width):
    draw = np.random.default_rng(width)
    held = HeldGroups(source, width, group)
    for _ in range(100):
        groups = draw.integers(0, len(SIZES), draw.integers(1, 12))
        rows = np.array([draw.integers(SIZES[number]) for number in groups])
        found = held.take(groups, rows, np.empty)
        assert found["n"].tolist() == (100 * groups + rows).tolist()
        assert found["text"] == [str(n) for n in 100 * groups + rows]


def test_what_was_used_least_lately_makes_room(source):
    read = []
    held = HeldGroups(source, 2, lambda number: read.append(number) or group(number))
    for number in (0, 1, 0, 2, 0, 1):
        held.take(np.array([number]), np.array([0]), np.empty)
    assert read == [0, 1, 2, 1]


def test_a_group_that_cannot_be_read_is_tried_once_and_harms_no_other(source):
    read = []

    def broken(number):
        read.append(number)
        if number == 1:
            raise DataError("Group 1 is broken.", "It is not.", "Write it again.")
        return group(number)

    held = HeldGroups(source, 1, broken)
    for _ in range(2):
        with pytest.raises(DataError, match="Group 1 is broken"):
            held.take(np.array([1]), np.array([0]), np.empty)
        assert held.take(np.array([0]), np.array([4]), np.empty)["n"].tolist() == [4]
    assert read == [1, 0]
