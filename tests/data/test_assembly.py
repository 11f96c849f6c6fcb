from __future__ import annotations

import pytest

from tessera.data.assembly import Assembly, one_by_one
from tessera.data.cursor import Cursor
from tessera.data.share import Share

RESULTS = [([0, 2], ["a", "b"]), ([], []), ([5], ["c"]), ([6, 9], ["d", "e"])]


def test_samples_know_where_the_next_one_begins():
    assert list(one_by_one(RESULTS)) == [("a", (1, 0)), ("b", (3, 0)), ("c", (6, 0)), ("d", (7, 0)), ("e", (10, 0))]


@pytest.mark.parametrize(
    ("share", "drop_last", "batches"),
    [
        (Share(2), False, [(["a", "b"], Cursor(3)), (["c", "d"], Cursor(7)), (["e"], Cursor(10))]),
        (Share(2), True, [(["a", "b"], Cursor(3)), (["c", "d"], Cursor(7))]),
        (Share(4, 0, 2), True, [(["a", "b"], Cursor(7))]),
        (Share(4, 1, 2), True, [(["c", "d"], Cursor(7))]),
        (Share(5), False, [(["a", "b", "c", "d", "e"], Cursor(10))]),
    ],
)
def test_batches(share, drop_last, batches):
    assert list(Assembly(share, drop_last).batches(one_by_one(RESULTS))) == batches


def test_nothing_makes_no_batch():
    assert list(Assembly(Share(2), False).batches([])) == []
