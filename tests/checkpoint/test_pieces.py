from __future__ import annotations

import enum
import json

import numpy as np
import pytest
import torch

from tessera.checkpoint.pieces import PIECES, array_from_bytes, dtype_named
from tests.checkpoint.samples import DTYPES, FLOATS, INTS, NUMPY_DTYPES, same

VALUES = (
    *FLOATS,
    *INTS,
    complex(0.0, -0.0),
    complex(float("nan"), float("inf")),
    b"",
    bytes(range(256)),
    torch.Size([]),
    torch.Size([2, 3]),
    *DTYPES,
    torch.device("cpu"),
    torch.device("cuda", 1),
    *(np.ones((), dtype)[()] for dtype in NUMPY_DTYPES),
    np.str_(""),
    np.void(b"ab"),
    np.float64("nan"),
    np.longdouble(1) / 3,
    *map(np.dtype, NUMPY_DTYPES),
)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_has_one_kind_and_comes_back(value):
    (piece,) = [piece for piece in PIECES.values() if piece.takes(value)]
    assert same(piece.read(json.loads(json.dumps(piece.write(value)))), value)


class Small(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize("value", [Small.ONE, np.dtype("O"), np.dtype([("a", "f4")]), object(), "text", True, None])
def test_what_would_come_back_as_something_else_is_no_piece(value):
    assert not any(piece.takes(value) for piece in PIECES.values())


@pytest.mark.parametrize("name", ["load", "nn", "int128", "", "float32.__class__"])
def test_only_a_dtype_is_a_dtype(name):
    with pytest.raises(ValueError, match="no dtype"):
        dtype_named(name)


def test_an_array_has_memory_of_its_own():
    array = array_from_bytes("<f4", np.ones(2, "<f4").tobytes(), (2,))
    array += 1
    assert array.tolist() == [2, 2]
    with pytest.raises(ValueError, match="object|OBJECT"):
        array_from_bytes("O", bytes(8), (1,))
