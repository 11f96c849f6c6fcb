from __future__ import annotations

import numpy as np
import pytest
import torch

from tessera.data import Loader, dataset
from tessera.data.cursor import Cursor
from tessera.data.pack import IGNORED, Pack
from tessera.errors import DataError, SettingError
from tests.data.functions import double, is_even


def packed(documents, start=Cursor(), chunk=3, **options):  # noqa: B008 - a tuple
    pack = Pack(**options)

    def chunks():
        for first in range(start.position, len(documents), chunk):
            some = documents[first : first + chunk]
            yield np.arange(first, first + len(some)), *pack.flat(some, ["a document"] * len(some))

    return list(pack.rows(chunks(), start))


def test_rows_are_the_documents_one_behind_the_other():
    rows = packed([[1, 2, 3], [], [4], [5, 6, 7, 8, 9, 10]], length=4, separator=0)
    line = [1, 2, 3, 0, 0, 4, 0, 5, 6, 7, 8, 9, 10, 0]
    assert [(x.tolist(), y.tolist()) for (x, y), _ in rows] == [
        (line[0:4], line[1:5]),
        (line[4:8], line[5:9]),
        (line[8:12], line[9:13]),
    ]
    assert all(part.dtype == torch.int64 for (x, y), _ in rows for part in (x, y))
    assert [after for _, after in rows] == [Cursor(1, 0), Cursor(3, 1), Cursor(3, 5)]


def test_segments_positions_and_labels():
    ((row, _),) = packed([[1, 2], [3, 4, 5]], length=4, segments=True)
    assert {name: part.tolist() for name, part in row.items()} == {
        "tokens": [1, 2, 3, 4],
        "segments": [1, 1, 2, 2],
        "positions": [0, 1, 0, 1],
        "labels": [2, IGNORED, 4, 5],
    }


def test_the_last_row_is_filled():
    rows = packed([[1, 2, 3, 4, 5, 6]], length=4, pad=9)
    assert [(x.tolist(), y.tolist()) for (x, y), _ in rows] == [
        ([1, 2, 3, 4], [2, 3, 4, 5]),
        ([5, 6, 9, 9], [6, IGNORED, IGNORED, IGNORED]),
    ]
    ((row, after),) = packed([[1, 2], [3]], length=4, pad=9, segments=True)
    assert row["segments"].tolist() == [1, 1, 2, 0]
    assert row["labels"].tolist() == [2, IGNORED, IGNORED, IGNORED]
    assert after == Cursor(2, 0)


def test_one_token_that_is_left_predicts_nothing():
    assert len(packed([[1, 2, 3, 4, 5]], length=4, pad=0)) == 1
    assert packed([[1]], length=4, pad=0) == []


@pytest.mark.parametrize("options", [{}, {"separator": 0}, {"segments": True}, {"pad": 0, "segments": True}])
def test_it_goes_on_from_any_row_and_in_any_pieces(options):
    draw = np.random.default_rng(0)
    documents = [draw.integers(1, 99, size=draw.integers(0, 40)) for _ in range(50)]
    whole = packed(documents, length=7, chunk=1000, **options)
    for _ in range(30):
        number = int(draw.integers(0, len(whole) - 1))
        later = packed(documents, whole[number][1], int(draw.integers(1, 9)), length=7, **options)
        assert [after for _, after in later] == [after for _, after in whole[number + 1 :]]
        for (row, _), (expected, _) in zip(later, whole[number + 1 :], strict=True):
            values = (row.values(), expected.values()) if isinstance(row, dict) else (row, expected)
            assert all(map(torch.equal, *values))


def test_no_token_is_lost_in_a_loader():
    documents = [list(range(100 * number, 100 * number + 7)) for number in range(40)]
    loader = Loader(dataset(documents).pack(5), 3)
    tokens = torch.cat([x.flatten() for x, _ in loader]).tolist()
    assert len(tokens) == len(set(tokens)) == (40 * 7 - 1) // 5 * 5


@pytest.mark.parametrize("bad", ["text", [1.5, 2.5], [[1, 2]], None, [[1], [1, 2]]])
def test_what_is_no_document(bad):
    with pytest.raises(DataError, match=r"^The document at position 0 is to be packed and is of type .*tokenize"):
        list(Loader(dataset([bad]).pack(4), 1))


@pytest.mark.parametrize("length", [0, -1, 1.5, True, "8"])
def test_a_length_that_makes_no_sense(length):
    with pytest.raises(SettingError, match="length is a whole number"):
        dataset([[1]]).pack(length)


@pytest.mark.parametrize("options", [{"separator": "x"}, {"pad": 1.5}, {"separator": True}])
def test_a_token_that_is_none(options):
    with pytest.raises(SettingError, match="is a token, which is a whole number, or None"):
        dataset([[1]]).pack(4, **options)


def test_packing_is_the_last_thing():
    rows = dataset([[1, 2, 3]]).pack(2)
    for call in (lambda: rows.map(double), lambda: rows.filter(is_even), lambda: rows.pack(3)):
        with pytest.raises(SettingError, match="Packing is the last thing"):
            call()
