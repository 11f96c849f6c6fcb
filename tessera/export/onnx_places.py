"""Where the tensors of an ONNX file lie: in it, or in files beside it, and nowhere else.

A file may say of a tensor that its bytes are in another file, under any path. onnxruntime before 1.24 reads it wherever
that is; so what a model from elsewhere answers could be what stands in a private file. By a path that is none it marks
tensors at an address of its memory, and not every version minds such a mark in a file.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_KEY = "location"
_IN_MEMORY = "*/_ORT_"


def check_places(path: Path) -> None:
    """Return if every tensor of the file is in its folder.

    Raises:
        ValueError: one is said to lie elsewhere, or in memory.
        Exception: the file is damaged.
    """
    if not _names_files(path):
        return
    import onnx

    folders = {path.absolute().parent.resolve(), path.resolve().parent}  # links of a download lead to one folder
    for place in _locations(onnx.load(path, load_external_data=False)):
        if place.startswith(_IN_MEMORY):
            raise ValueError(f"it names {place[:80]!r}, which is an address and no file")
        if Path(place).is_absolute() or not any(
            (path.parent / place).resolve().is_relative_to(each) for each in folders
        ):
            raise ValueError(f"it names {place[:80]!r}, which is not in the file's folder")


def _names_files(path: Path) -> bool:
    """Whether the word is there at all: a file with its weights inside is not parsed twice."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(_KEY.encode()) >= 0


def _locations(message: Any) -> Iterator[str]:
    """Of the tensors of a model, in graphs, attributes, functions and wherever else there are some."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield from (each.value for each in message.external_data if each.key == _KEY)
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "__len__") else (value,):
                yield from _locations(inner)
