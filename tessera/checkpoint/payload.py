"""A tensor as the bytes of a safetensors file, whatever its dtype, and the file's header.

The files are plain safetensors. They are written here, and not by that library, because a checkpoint is written while
training goes on: the library first copies every tensor into a Python string, and holds the interpreter meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_CODES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_SAME_SIZE = {1: torch.uint8, 2: torch.uint16, 4: torch.uint32, 8: torch.uint64}


def stored(tensor: Tensor) -> Tensor:
    """A view of a dtype that every reader of safetensors knows.

    A complex tensor gets a last dim of 2; of the rarer eight-bit floats the bits are stored, as uint8.
    """
    if tensor.is_complex():
        return torch.view_as_real(tensor)
    return tensor if tensor.dtype in _CODES else tensor.view(_SAME_SIZE[tensor.itemsize])


def restored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor of which ``stored`` made this one."""
    if dtype.is_complex:
        # In a file it begins where a real number may; torch crashes on a complex one that is not at a multiple of its
        # own size.
        return torch.view_as_complex(tensor.clone() if tensor.data_ptr() % dtype.itemsize else tensor)
    return tensor if tensor.dtype == dtype else tensor.view(dtype)


def stored_shape(shape: Sequence[int], dtype: torch.dtype) -> list[int]:
    """The shape of ``stored`` of a tensor of this shape."""
    return [*shape, 2] if dtype.is_complex else list(shape)


def contents(tensor: Tensor) -> memoryview:
    """The bytes of a dense tensor on the CPU, without a copy; valid while the tensor lives."""
    return tensor.detach().reshape(-1).view(torch.uint8).numpy().data


def header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """What stands in a safetensors file before the bytes of its tensors, which follow in this order without gaps.

    Args:
        tensors: of dtypes that ``stored`` gives.
        metadata: text for the file as a whole.
    """
    described: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.nbytes
        described[name] = {"dtype": _CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(described, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)  # the first tensor begins at a multiple of eight
    return len(text).to_bytes(8, "little") + text


def in_file_order(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, those of large elements first: so each begins at a multiple of its element's size."""
    return dict(sorted(tensors.items(), key=lambda item: -item[1].itemsize))
