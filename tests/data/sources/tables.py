"""Tables that tests write into files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def table(rows, first=0):
    """Columns of every kind; row ``i`` is told by its ``id``, ``first + i``."""
    numbers = np.arange(first, first + rows)
    return pa.table(
        {
            "id": numbers,
            "x": pa.FixedSizeListArray.from_arrays(pa.array(np.repeat(numbers, 3).astype(np.float32)), 3),
            "ragged": pa.array([[int(n)] * (int(n) % 4) for n in numbers], pa.list_(pa.int32())),
            "text": pa.array([f"row {n}" for n in numbers], pa.string()),
            "flag": pa.array(numbers % 2 == 0, pa.bool_()),
        }
    )


def check_rows(samples):
    """Check that every column of every sample belongs to its id; returns the ids."""
    for sample in samples:
        number = int(sample["id"])
        assert sample["x"].tolist() == [number] * 3
        assert sample["ragged"].tolist() == [number] * (number % 4)
        assert sample["text"] == f"row {number}"
        assert bool(sample["flag"]) == (number % 2 == 0)
    return [int(sample["id"]) for sample in samples]
