"""Folders of images and of texts. The subfolder that a file is in is its class."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from tessera.data.dataset import Dataset
from tessera.data.permutation import Indices
from tessera.data.source import Samples, Source
from tessera.data.sources.files import described, files, missing
from tessera.data.stages import Read, Stage
from tessera.errors import DataError, SettingError

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_MODES = {"RGB": "RGB", "gray": "L", "RGBA": "RGBA"}


def images(folder: str | Path, *, size: tuple[int, int] | None = None, mode: str = "RGB") -> Dataset:
    """Images in a folder; a sample is ``(image, label)``: uint8 ``[channels, height, width]``, and a whole number.

    Args:
        folder: with a subfolder for each class, which are numbered in the order of their names, empty ones too; in a
            folder without subfolders a sample is the image alone.
        size: (height, width) to scale every image to; None leaves them as they are.
        mode: ``"RGB"``, ``"gray"`` or ``"RGBA"``.

    Raises:
        EmptyDatasetError: there is no image.
        SettingError: there is no such mode, or the size is no two whole numbers.
        MissingDependencyError: Pillow is not installed.
        DataError: while iterating: a file is no image, or one of more than 8 bits for each value.
    """
    try:
        importlib.import_module("PIL")
    except ImportError as error:
        raise missing("Pillow", "data") from error
    if mode not in _MODES:
        raise SettingError(f"mode={mode!r} was passed.", f"mode is one of {list(_MODES)}.", "Write mode='RGB'.")
    if size is not None and not _is_pair(size):
        raise SettingError(
            f"size={size!r} was passed.", "size is (height, width) in pixels.", "Write for example size=(224, 224)."
        )
    return Dataset(Images(folder, files(folder, _IMAGES), size, _MODES[mode]))


def texts(folder: str | Path, *, suffixes: Sequence[str] = (".txt",), by: Literal["file", "line"] = "file") -> Dataset:
    """Texts in a folder, UTF-8; a sample is a string, or ``(string, label)`` in subfolders, as of ``images``.

    Args:
        by: a sample is a whole file, or one line of one.

    Raises:
        EmptyDatasetError: there is no such file.
        SettingError: ``by`` is something else.
    """
    if by not in ("file", "line"):
        raise SettingError(f"by={by!r} was passed.", "A sample is a 'file' or a 'line'.", "Write by='line'.")
    endings = (suffixes,) if isinstance(suffixes, str) else suffixes
    found = files(folder, tuple(one.lower() for one in endings))
    return Dataset(Texts(folder, found) if by == "file" else Lines(folder, found))


class Folder(Source):
    """Samples from files; a subclass says how one is read.

    Attributes:
        classes: names of the subfolders, in the order of their numbers; empty where there are none.
    """

    def __init__(self, folder: str | Path, paths: list[Path]) -> None:
        self.paths = paths
        root = Path(folder)
        parts = [path.relative_to(root).parts if root.is_dir() else (path.name,) for path in paths]
        nested = any(len(inside) > 1 for inside in parts)
        self.classes = _subfolders(root) if nested else []
        if self.classes and not all(len(inside) > 1 for inside in parts):
            loose = next(path for path, inside in zip(paths, parts, strict=True) if len(inside) == 1)
            raise SettingError(
                f"{loose} lies beside the subfolders of {root}.",
                "Either all files lie in subfolders, which are their classes, or none does.",
                "Move the file into a subfolder.",
            )
        numbers = {name: number for number, name in enumerate(self.classes)}
        self._labels = [numbers[inside[0]] for inside in parts] if self.classes else []
        self._stage = Read(self._sample, random=False)

    def __len__(self) -> int:
        return len(self.paths)

    def samples(self, indices: Indices) -> Samples:
        return indices.tolist()

    def describe(self) -> dict[str, Any]:
        return {"kind": type(self).__name__.lower(), "files": described(self.paths), "classes": self.classes}

    def name(self, index: int) -> str:
        return str(self.paths[self._file(index)])

    def stages_of(self, index: int) -> tuple[Stage, ...]:
        return (self._stage,)

    def every_stage(self) -> tuple[Stage, ...]:
        return (self._stage,)

    def read(self, index: int) -> Any:
        """Sample ``index`` without its label."""
        raise NotImplementedError

    def _file(self, index: int) -> int:
        return index

    def _sample(self, index: int) -> Any:
        made = self.read(index)
        return (made, self._labels[self._file(index)]) if self._labels else made


class Images(Folder):
    """Images as uint8 ``[channels, height, width]``."""

    def __init__(self, folder: str | Path, paths: list[Path], size: tuple[int, int] | None, mode: str) -> None:
        super().__init__(folder, paths)
        self._size, self._mode = size, mode

    def describe(self) -> dict[str, Any]:
        size = None if self._size is None else list(self._size)
        return {**super().describe(), "size": size, "mode": self._mode}

    def read(self, index: int) -> torch.Tensor:
        from PIL import Image

        with Image.open(self.paths[index]) as file:
            if file.mode.startswith(("I", "F")):
                raise DataError(
                    f"{self.paths[index]} has values of more than 8 bits (Pillow's mode {file.mode!r}).",
                    "An image becomes uint8, where all above 255 would be 255.",
                    "Write the files with 8 bits, or read them in a torch Dataset of your own.",
                )
            image = file.convert(self._mode)
        if self._size is not None:
            image = image.resize(self._size[::-1], Image.Resampling.BILINEAR)
        pixels = np.array(image)
        return torch.from_numpy(pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1)))


class Texts(Folder):
    """Whole files."""

    def read(self, index: int) -> str:
        return self.paths[index].read_text(encoding="utf-8")


class Lines(Folder):
    """Lines of files, without their ends. Where they begin is looked up once, when the dataset is made."""

    def __init__(self, folder: str | Path, paths: list[Path]) -> None:
        super().__init__(folder, paths)
        self._begins = [_line_starts(path) for path in paths]
        self._starts = np.cumsum([0, *(len(begins) - 1 for begins in self._begins)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def name(self, index: int) -> str:
        file = self._file(index)
        return f"{self.paths[file]}, line {index - int(self._starts[file]) + 1:,}"

    def read(self, index: int) -> str:
        file = self._file(index)
        line = index - int(self._starts[file])
        first, last = self._begins[file][line : line + 2].tolist()
        with self.paths[file].open("rb") as lines:
            lines.seek(first)
            return lines.read(last - first).decode("utf-8").rstrip("\r\n")

    def _file(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1


def _line_starts(path: Path) -> np.ndarray:
    size = path.stat().st_size
    if size == 0:
        return np.zeros(1, np.int64)
    ends = np.flatnonzero(np.memmap(path, np.uint8, "r") == ord("\n")) + 1
    edges = np.concatenate([[0], ends])
    return edges if edges[-1] == size else np.append(edges, size)


def _subfolders(root: Path) -> list[str]:
    return sorted(one.name for one in root.iterdir() if one.is_dir() and not one.name.startswith("."))


def _is_pair(size: object) -> bool:
    return isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(one, int) and one > 0 for one in size)
