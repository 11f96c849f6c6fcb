"""Columns of Arrow tables as arrays: rows of them are taken by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from tessera.data.permutation import Indices
from tessera.errors import BatchError


class Column(Protocol):
    """One column of a few thousand rows in memory."""

    nulls: np.ndarray | None
    """Rows without a value, bool ``[rows]``; None when every row has one."""

    def take(self, rows: Indices) -> np.ndarray | list[Any]:
        """The values of ``rows``: an array ``[rows, ...]``, or a list of what has no one shape."""


class Values:
    """Numbers, or rows of as many numbers each: ``[rows, ...]``."""

    def __init__(self, values: np.ndarray, nulls: np.ndarray | None) -> None:
        self.values, self.nulls = values, nulls

    def take(self, rows: Indices) -> np.ndarray:
        return np.take(self.values, rows, axis=0)


class Ragged:
    """Rows of numbers, each of its own length: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``."""

    def __init__(self, values: np.ndarray, offsets: np.ndarray, nulls: np.ndarray | None) -> None:
        self.values, self.offsets, self.nulls = values, offsets, nulls

    def take(self, rows: Indices) -> list[np.ndarray]:
        starts, stops = self.offsets[rows], self.offsets[rows + 1]
        return [self.values[start:stop].copy() for start, stop in zip(starts, stops, strict=True)]


class Objects:
    """Anything else: text, bytes, dates, nested values, as Python objects."""

    nulls: np.ndarray | None = None

    def __init__(self, values: pa.Array) -> None:
        self.values = values

    def take(self, rows: Indices) -> list[Any]:
        try:
            return self.values.take(pa.array(rows)).to_pylist()
        except pa.ArrowNotImplementedError:  # text as other writers than Arrow's own lay it out
            return [self.values[row].as_py() for row in rows.tolist()]


def column(found: pa.ChunkedArray | pa.Array) -> Column:
    """The column in ``found``."""
    array = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    if isinstance(array, pa.ChunkedArray):  # combining nothing, or more than one array can hold
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    kind = array.type
    nulls = np.asarray(array.is_null()) if array.null_count else None
    holes: np.ndarray | None = None  # rows that have a value, but not in every place of it
    if _is_number(kind):
        return Values(_numbers(array), nulls)
    if pa.types.is_fixed_size_list(kind) and _is_number(kind.value_type):
        inner = array.values[array.offset * kind.list_size : (array.offset + len(array)) * kind.list_size]
        if inner.null_count:
            holes = np.asarray(np.asarray(inner.is_null()).reshape(len(array), -1).any(1))
        return Values(_numbers(inner).reshape(len(array), kind.list_size), _either(nulls, holes))
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_number(kind.value_type):
        offsets = np.asarray(array.offsets)
        if array.values.null_count:
            before = np.concatenate([[0], np.cumsum(np.asarray(array.values.is_null()))])
            holes = before[offsets[1:]] > before[offsets[:-1]]
        return Ragged(_numbers(array.values), offsets, _either(nulls, holes))
    return Objects(array)


def batch_of(name: str, values: np.ndarray | list[Any]) -> Any:
    """One column of a batch: a tensor ``[batch, ...]``, or a list of Python objects.

    Raises:
        BatchError: rows of numbers are of several lengths.
    """
    if isinstance(values, np.ndarray):
        return torch.from_numpy(values)
    if not values or not isinstance(values[0], np.ndarray):
        return values
    lengths = {len(value) for value in values}
    if len(lengths) > 1:
        raise BatchError(
            f"Column {name!r} has rows of {min(lengths)} to {max(lengths)} numbers in one batch.",
            "Samples of a batch are of one shape.",
            "Bring them to one length with map(), write your own collate=function, or pack() documents.",
        )
    return torch.from_numpy(np.stack(values))


def sample_of(value: Any) -> Any:
    """One row of a column, as a tensor where it is numbers."""
    return torch.from_numpy(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def rows_of(columns: dict[str, np.ndarray | list[Any]], count: int) -> list[dict[str, Any]]:
    """``columns`` row by row."""
    return [{name: sample_of(values[row]) for name, values in columns.items()} for row in range(count)]


def scattered(
    parts: Sequence[np.ndarray | list[Any]], places: Sequence[np.ndarray], count: int
) -> np.ndarray | list[Any]:
    """``count`` values, of which ``parts`` belong at ``places``."""
    if len(parts) == 1 and len(parts[0]) == count:
        return _ordered(parts[0], places[0])
    if all(isinstance(part, np.ndarray) for part in parts):
        joined = np.empty((count, *parts[0].shape[1:]), parts[0].dtype)  # type: ignore[union-attr]  # arrays, as said
        for part, place in zip(parts, places, strict=True):
            joined[place] = part
        return joined
    values: list[Any] = [None] * count
    for part, place in zip(parts, places, strict=True):
        for value, at in zip(part, place, strict=True):
            values[at] = value
    return values


def _ordered(part: np.ndarray | list[Any], place: np.ndarray) -> np.ndarray | list[Any]:
    if np.array_equal(place, np.arange(len(place))):
        return part
    back = np.argsort(place)
    return part[back] if isinstance(part, np.ndarray) else [part[at] for at in back]


def _either(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return other if one is None else one if other is None else one | other


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _numbers(array: pa.Array) -> np.ndarray:
    if array.null_count:  # which rows these are is kept beside; 0 only fills the place
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return array.to_numpy(zero_copy_only=False)
