from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from tessera.data.sources.arrow_columns import Objects, Ragged, Values, batch_of, column, rows_of, scattered
from tessera.errors import BatchError

ROWS = np.array([2, 0])


@pytest.mark.parametrize(
    ("array", "kind", "taken"),
    [
        (pa.array([1, 2, 3], pa.int8()), Values, [3, 1]),
        (pa.array([1.5, 2.5, 3.5]), Values, [3.5, 1.5]),
        (pa.array([True, False, False]), Values, [False, True]),
        (pa.chunked_array([[1, 2], [3]]), Values, [3, 1]),
        (pa.array([7, 8, 7, 8]).dictionary_encode(), Values, [7, 7]),
        (pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int16(), 2)), Values, [[5, 6], [1, 2]]),
        (pa.array([0, [1, 2], [3, 4], [5, 6]][1:], pa.list_(pa.int16(), 2)).slice(0), Values, [[5, 6], [1, 2]]),
        (pa.array([[1], [], [2, 3]]), Ragged, [[2, 3], [1]]),
        (pa.array([[9], [1], [], [2, 3]]).slice(1), Ragged, [[2, 3], [1]]),
        (pa.array([[1], [], [2, 3]], pa.large_list(pa.float32())), Ragged, [[2, 3], [1]]),
        (pa.array(["a", "b", "c"]), Objects, ["c", "a"]),
        (pa.array(["a", None, None]), Objects, [None, "a"]),
        (pa.array([{"n": 1}, {"n": 2}, {"n": 3}]), Objects, [{"n": 3}, {"n": 1}]),
        (pa.array([[[1]], [[2]], [[3]]]), Objects, [[[3]], [[1]]]),
        (pa.array([b"x", b"y", b"z"]), Objects, [b"z", b"x"]),
        (pa.array(["a", None, "c"], pa.string_view()), Objects, ["c", "a"]),
    ],
)
def test_kinds_of_columns(array, kind, taken):
    found = column(array)
    assert type(found) is kind
    assert found.nulls is None
    assert [np.asarray(value).tolist() for value in found.take(ROWS)] == [np.asarray(value).tolist() for value in taken]


def test_parts_of_arrays_know_their_place():
    whole = pa.array([[n, n] for n in range(6)], pa.list_(pa.int16(), 2))
    assert column(whole.slice(3)).take(ROWS).tolist() == [[5, 5], [3, 3]]
    assert column(pa.chunked_array([whole.slice(3), whole.slice(0, 1)])).take(np.array([3, 0])).tolist() == [
        [0, 0],
        [3, 3],
    ]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, None, 3]),
        pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int16(), 2)),
        pa.array([[1, 2], [3, None], [3, 4]], pa.list_(pa.int16(), 2)),
        pa.array([[1, 2], None, [3]]),
        pa.array([[1, 2], [None], []]),
        pa.array([True, None, False]),
    ],
)
def test_rows_without_a_number_are_known(array):
    assert column(array).nulls.tolist() == [False, True, False]


def test_batches():
    assert torch.equal(batch_of("x", np.arange(3)), torch.arange(3))
    assert batch_of("x", ["a", "b"]) == ["a", "b"]
    assert batch_of("x", [np.arange(2), np.arange(2)]).tolist() == [[0, 1], [0, 1]]
    with pytest.raises(
        BatchError, match=r"^Column 'x' has rows of 1 to 2 numbers in one batch\. .* pack\(\) documents"
    ):
        batch_of("x", [np.arange(2), np.arange(1)])


def test_rows():
    rows = rows_of({"n": np.arange(2), "x": np.ones((2, 2)), "t": ["a", "b"]}, 2)
    assert rows[1]["n"].item() == 1
    assert rows[1]["x"].tolist() == [1, 1]
    assert rows[1]["t"] == "b"


def test_parts_are_put_where_they_belong():
    places = [np.array([2, 0]), np.array([1])]
    assert scattered([np.array([5, 6]), np.array([7])], places, 3).tolist() == [6, 7, 5]
    assert scattered([["a", "b"], ["c"]], places, 3) == ["b", "c", "a"]
    assert scattered([np.array([5, 6])], [np.array([1, 0])], 2).tolist() == [6, 5]
    assert scattered([["a", "b"]], [np.array([0, 1])], 2) == ["a", "b"]
