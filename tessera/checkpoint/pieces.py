"""Values in one piece that JSON has no word for: how each is written under its tag, and read back, bit for bit."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Piece:
    """A kind of value.

    Attributes:
        takes: whether a value is of this kind.
        write: the value as JSON.
        read: the value whose JSON this is; raises ValueError, TypeError or struct.error for any other.
    """

    takes: Callable[[Any], bool]
    write: Callable[[Any], Any]
    read: Callable[[Any], Any]


def dtype_named(name: str) -> torch.dtype:
    """``torch.float32`` for ``"float32"``.

    Raises:
        ValueError: torch has no such dtype.
    """
    dtype = getattr(torch, name, None)
    if isinstance(dtype, torch.dtype):
        return dtype
    raise ValueError(f"torch {torch.__version__} has no dtype {name!r}")


def array_from_bytes(dtype: str, content: bytes, shape: Sequence[int]) -> np.ndarray[Any, Any]:
    """A numpy array of its own memory."""
    kind = np.dtype(dtype)
    if kind.itemsize == 0:  # strings of no character; numpy reads no buffer of them
        return np.zeros(tuple(shape), kind)
    return np.frombuffer(content, kind).reshape(tuple(shape)).copy()


def _exactly(kind: type) -> Callable[[Any], bool]:
    """Of this very class: a subclass (an enum, a named tuple) would come back as something less."""
    return lambda value: type(value) is kind


def _is_simple(dtype: np.dtype[Any]) -> bool:
    return not dtype.hasobject and dtype.names is None


# A bool, a str, None, an int of 64 bits and a finite float are JSON as they are, and do not come here.
PIECES: dict[str, Piece] = {
    "float": Piece(
        _exactly(float),  # not finite: the bits, for a NaN has more than one value
        lambda value: struct.pack(">d", value).hex(),
        lambda content: struct.unpack(">d", bytes.fromhex(content))[0],
    ),
    "int": Piece(_exactly(int), hex, lambda content: int(content, 16)),
    "complex": Piece(
        _exactly(complex),
        lambda value: struct.pack(">2d", value.real, value.imag).hex(),
        lambda content: complex(*struct.unpack(">2d", bytes.fromhex(content))),
    ),
    "bytes": Piece(
        _exactly(bytes),
        lambda value: base64.b64encode(value).decode("ascii"),
        lambda content: base64.b64decode(content, validate=True),
    ),
    "size": Piece(_exactly(torch.Size), list, torch.Size),
    "dtype": Piece(_exactly(torch.dtype), lambda value: str(value).removeprefix("torch."), dtype_named),
    "device": Piece(_exactly(torch.device), str, torch.device),
    "numpy": Piece(
        lambda value: isinstance(value, np.generic) and _is_simple(value.dtype),
        lambda value: [value.dtype.str, value.tobytes().hex()],
        lambda content: array_from_bytes(content[0], bytes.fromhex(content[1]), ())[()],
    ),
    "numpy_dtype": Piece(
        lambda value: isinstance(value, np.dtype) and _is_simple(value), lambda value: value.str, np.dtype
    ),
}
