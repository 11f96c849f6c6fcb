"""Arrays and tensors in memory or mapped from a file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tessera.data.dataset import Dataset
from tessera.data.permutation import Indices
from tessera.data.shared_memory import shared_copy
from tessera.data.source import Empty, Samples, Source
from tessera.data.structure import leaves_of
from tessera.errors import BatchError

Array = torch.Tensor | np.ndarray


def arrays(data: Any) -> Dataset:
    """Samples from tensors or arrays ``[samples, ...]``: one, or a tuple or dict of them, nested as you like.

    A batch has the same structure, with tensors ``[batch, ...]`` of the same dtypes in it.

    Raises:
        BatchError: something in it is no array of numbers, or they do not have the same number of samples.
    """
    return Dataset(Arrays(data))


class Arrays(Source):
    """Samples are rows of arrays."""

    columnar = True

    def __init__(self, data: Any) -> None:
        leaves, self._rebuild = leaves_of(data)
        shapes = [list(getattr(leaf, "shape", ())) for leaf in leaves]
        if not leaves or not all(shapes) or len({shape[0] for shape in shapes}) > 1:
            raise BatchError(
                f"Data with parts of shape {', '.join(map(str, shapes)) or 'none'} was passed.",
                "Every part is a tensor or an array, [samples, ...], and all have the same number of samples.",
                "Pass for example (inputs, labels) with one label for each input.",
            )
        for leaf in leaves:
            if reason := _unfit(leaf):
                raise BatchError(
                    f"Data with a part of shape {list(leaf.shape)} was passed, and {reason}.",
                    "A batch is dense tensors of numbers.",
                    "Convert it, as with array.astype('float32') or tensor.to_dense(); texts and other objects come "
                    "from a list of samples or a Dataset.",
                )
        self.leaves: list[Array] = leaves

    def __len__(self) -> int:
        return len(self.leaves[0])

    def batch(self, indices: Indices, empty: Empty = np.empty) -> Any:
        return self._rebuild([_rows(leaf, indices, empty) for leaf in self.leaves])

    def samples(self, indices: Indices) -> Samples:
        parts = [_rows(leaf, indices, np.empty) for leaf in self.leaves]
        return [self._rebuild([part[row] for part in parts]) for row in range(len(indices))]

    def describe(self) -> dict[str, Any]:
        parts = [f"{str(leaf.dtype).removeprefix('torch.')} {list(leaf.shape)}" for leaf in self.leaves]
        return {"kind": "arrays", "parts": parts}

    def name(self, index: int) -> str:
        return f"row {index:,} of the arrays"

    def __getstate__(self) -> dict[str, Any]:
        """For a worker: what is in memory is shared, not copied for each."""
        return {"leaves": [_portable(leaf) for leaf in self.leaves], "rebuild": self._rebuild}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.leaves, self._rebuild = [part.open() for part in state["leaves"]], state["rebuild"]


def _rows(leaf: Array, indices: Indices, empty: Empty) -> torch.Tensor:
    shape = (len(indices), *leaf.shape[1:])
    if isinstance(leaf, np.ndarray):
        # Indices are known to be in range, and only so does NumPy write to its place without a buffer in between.
        return torch.from_numpy(np.take(leaf, indices, axis=0, out=empty(shape, leaf.dtype), mode="clip"))
    rows = torch.from_numpy(indices).to(leaf.device)
    if leaf.device.type != "cpu" or not leaf.numel():  # of no bytes torch makes no view
        return leaf.detach().index_select(0, rows)
    memory = torch.from_numpy(empty((leaf[:1].numel() * len(indices) * leaf.itemsize,), np.uint8))
    return torch.index_select(leaf.detach(), 0, rows, out=memory.view(leaf.dtype).view(shape))


def _unfit(leaf: Array) -> str | None:
    """Why a batch cannot be cut from ``leaf``."""
    if isinstance(leaf, torch.Tensor):
        dense = leaf.layout is torch.strided and not leaf.is_nested and not leaf.is_quantized
        return None if dense else f"its layout is {leaf.layout}" + " (quantized)" * leaf.is_quantized
    if isinstance(leaf, np.ma.MaskedArray):
        return "some of its values are masked"
    try:
        torch.from_numpy(np.empty(0, leaf.dtype))
    except (TypeError, ValueError):  # texts, objects, dates; another byte order
        return f"its dtype is {leaf.dtype.str}"
    return None


class _Mapped:
    """A mapped file, by its place on the disk."""

    def __init__(self, path: str, leaf: np.memmap) -> None:
        self._arguments = (path, leaf.dtype, leaf.offset, leaf.shape)

    def open(self) -> Array:
        path, dtype, offset, shape = self._arguments
        return np.memmap(path, dtype, mode="r", offset=offset, shape=shape)


class _Shared:
    """Memory that all workers see."""

    def __init__(self, leaf: Array) -> None:
        self._segment, self._like = shared_copy(leaf)

    def open(self) -> Array:
        (found,) = self._segment.read([self._like])
        return found


def _portable(leaf: Any) -> _Mapped | _Shared:
    return _Mapped(str(leaf.filename), leaf) if isinstance(leaf, np.memmap) and _is_file(leaf) else _Shared(leaf)


def _is_file(leaf: np.memmap) -> bool:
    """Whether a worker that maps the file has the same values."""
    # A part of a mapped array does not know its own offset; what is changed in a map of mode "c" is not in the file.
    return leaf.flags.c_contiguous and not isinstance(leaf.base, np.memmap) and leaf.mode != "c"
