"""Tensors for onnxruntime and back, in those dtypes too that numpy does not have: bfloat16 and eight-bit floats."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch

# ONNX's numbers for dtypes (onnx.TensorProto.DataType), for what goes by its bits.
_CODES = {
    torch.bfloat16: 16,
    torch.float8_e4m3fn: 17,
    torch.float8_e4m3fnuz: 18,
    torch.float8_e5m2: 19,
    torch.float8_e5m2fnuz: 20,
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
_BITS = {1: torch.uint8, 2: torch.uint16}


def to_runtime(tensor: torch.Tensor) -> Any:
    """The ``onnxruntime.OrtValue`` of a tensor."""
    import onnxruntime

    plain = tensor.detach().cpu().contiguous()
    if plain.dtype not in _CODES:
        return onnxruntime.OrtValue.ortvalue_from_numpy(plain.numpy())
    bits = plain.view(_BITS[plain.itemsize]).numpy()
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _CODES[plain.dtype])


def from_runtime(value: Any) -> torch.Tensor:
    """The tensor in an ``onnxruntime.OrtValue``, in memory of its own."""
    dtype = _DTYPES.get(value.element_type())
    if dtype is None:
        array = value.numpy()
        # Numpy has two names for 64 bits without a sign, and torch knows one of them.
        return torch.from_numpy(array.view(f"{array.dtype.kind}{array.dtype.itemsize}").copy())
    shape = value.shape()
    if not math.prod(shape):
        return torch.empty(shape, dtype=dtype)
    content = ctypes.string_at(value.data_ptr(), math.prod(shape) * dtype.itemsize)
    return torch.frombuffer(bytearray(content), dtype=dtype).reshape(shape)
