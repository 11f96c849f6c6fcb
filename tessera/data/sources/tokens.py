"""Token files: one long row of whole numbers on the disk, mapped into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tessera.data.dataset import Dataset
from tessera.data.permutation import Indices
from tessera.data.source import Empty, Samples, Source
from tessera.data.sources.files import Paths, described, files, unreadable
from tessera.errors import DataError, EmptyDatasetError, SettingError


def tokens(paths: Paths, length: int, *, dtype: str | np.dtype[Any] = "uint16") -> Dataset:
    """Windows of ``length`` tokens; a sample is ``(tokens, targets)``, int64 ``[length]``, the targets one further on.

    Window ``i`` of a file begins at token ``i * length``, so that every token is a target once.

    Args:
        paths: ``.bin`` files, which hold nothing but the tokens, or one-dimensional ``.npy`` files.
        length: tokens in a window.
        dtype: of the tokens in ``.bin`` files, a whole-number type; a ``.npy`` file says its own.

    Raises:
        EmptyDatasetError: there is no file, or none with ``length + 1`` tokens.
        DataError: a file is no token file.
        SettingError: ``length`` or ``dtype`` makes no sense.
    """
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise SettingError(
            f"length={length!r} was passed.",
            "length is a whole number of at least 1.",
            "Write for example length=1024.",
        )
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "iu":
        raise SettingError(
            f"dtype={dtype!r} was passed.", "Tokens are whole numbers.", "Write for example dtype='uint16'."
        )
    found = files(paths, (".bin", ".npy"))
    source = Tokens(found, length, kind)
    if not len(source):
        raise EmptyDatasetError(
            f"{', '.join(map(str, found))} have no window of {length} tokens and one target.",
            f"At least one file has {length + 1} tokens.",
            "Take a smaller length.",
        )
    return Dataset(source)


class Tokens(Source):
    """Windows of mapped files."""

    columnar = True

    def __init__(self, paths: list[Path], length: int, dtype: np.dtype[Any]) -> None:
        self.paths, self.length, self.dtype = paths, length, dtype
        self._open()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batch(self, indices: Indices, empty: Empty = np.empty) -> tuple[torch.Tensor, torch.Tensor]:
        if len(self._windows) == 1:
            windows = self._windows[0][indices]
        else:
            windows = np.empty((len(indices), self.length + 1), self._widest)
            which = np.searchsorted(self._starts, indices, side="right") - 1
            for file in np.unique(which):
                mine = which == file
                windows[mine] = self._windows[file][indices[mine] - self._starts[file]]
        shown, targets = (empty((len(indices), self.length), np.int64) for _ in range(2))
        np.copyto(shown, windows[:, :-1], casting="unsafe")  # uint64 has no safe way to int64
        np.copyto(targets, windows[:, 1:], casting="unsafe")
        return torch.from_numpy(shown), torch.from_numpy(targets)

    def samples(self, indices: Indices) -> Samples:
        return list(zip(*self.batch(indices), strict=True))

    def describe(self) -> dict[str, Any]:
        return {"kind": "tokens", "files": described(self.paths), "length": self.length, "dtype": str(self.dtype)}

    def name(self, index: int) -> str:
        file = int(np.searchsorted(self._starts, index, side="right")) - 1
        first = (index - int(self._starts[file])) * self.length
        return f"{self.paths[file]}, tokens {first:,} to {first + self.length:,}"

    def __getstate__(self) -> dict[str, Any]:
        """For a worker: it maps the files itself."""
        return {"paths": self.paths, "length": self.length, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _open(self) -> None:
        files = [_mapped(path, self.dtype) for path in self.paths]
        self._windows = [_windows(file, self.length) for file in files]
        self._starts = np.cumsum([0, *map(len, self._windows)])
        self._widest = np.result_type(*(file.dtype for file in files))


def _mapped(path: Path, dtype: np.dtype[Any]) -> np.ndarray:
    try:
        if path.suffix == ".npy":
            found = np.load(path, mmap_mode="r")
        elif path.stat().st_size == 0:
            return np.empty(0, dtype)  # nothing cannot be mapped
        else:
            found = np.memmap(path, dtype, "r")
    except (OSError, ValueError) as error:
        raise unreadable(path, "", error) from error
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise DataError(
            f"{path} holds an array of shape {list(found.shape)} and dtype {found.dtype}.",
            "A token file is one row of whole numbers.",
            "Write it with numpy.save(path, tokens), tokens being one-dimensional.",
        )
    return found.view(np.ndarray)  # indexing a plain array is several times faster


def _windows(tokens: np.ndarray, length: int) -> np.ndarray:
    """The windows of a file with one token more each, ``[windows, length + 1]``: a view, nothing is read."""
    count = max(0, (len(tokens) - 1) // length)
    shape, strides = (count, length + 1), (length * tokens.itemsize, tokens.itemsize)
    return np.lib.stride_tricks.as_strided(tokens, shape, strides, writeable=False)
