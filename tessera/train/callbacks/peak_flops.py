"""The most floating-point operations a second that a device can do."""

from __future__ import annotations

import math
import re
import time
from typing import NamedTuple

import torch

_TERA = 1e12
_MEASURING_S = 0.3
_SIZE = 1024  # of the matrices: large enough for all that a processor can do, a few milliseconds each


class Peak(NamedTuple):
    """Floating-point operations a second, and where the number comes from."""

    flops: float
    source: str


class _Device(NamedTuple):
    """Dense peaks in TFLOP/s, without sparsity: float16 and bfloat16, TF32 (None: it has none), float32."""

    name: str  # a regular expression for what the driver calls it
    half: float
    tf32: float | None
    single: float
    source: str


# The first that fits holds. Data sheets give several numbers with sparsity, which is twice the dense one.
_DEVICES = (
    _Device(r"\bB200\b", 2250, 1125, 75, "NVIDIA Blackwell data sheet, 2024"),
    _Device(r"\bH200 NVL\b", 835.5, 417.5, 60, "NVIDIA H200 data sheet, 2024"),
    _Device(r"\bH200\b", 989.5, 494.5, 67, "NVIDIA H200 data sheet, 2024"),
    _Device(r"\bH100 NVL\b", 835.5, 417.5, 60, "NVIDIA H100 data sheet, 2024"),
    _Device(r"\bH100 PCIe\b", 756, 378, 51, "NVIDIA H100 data sheet, 2023"),
    _Device(r"\bH100 80GB HBM3\b", 989.5, 494.5, 67, "NVIDIA H100 data sheet, 2023"),
    _Device(r"\bA100\b", 312, 156, 19.5, "NVIDIA A100 data sheet, 2021"),
    _Device(r"\bL40S\b", 362, 183, 91.6, "NVIDIA L40S data sheet, 2023"),
    _Device(r"\bL4\b", 121, 60, 30.3, "NVIDIA L4 data sheet, 2023"),
    _Device(r"\bA10\b", 125, 62.5, 31.2, "NVIDIA A10 data sheet, 2021"),
    _Device(r"\bT4\b", 65, None, 8.1, "NVIDIA T4 data sheet, 2019"),
    _Device(r"\bV100-PCIE\b", 112, None, 14, "NVIDIA V100 data sheet, 2020"),
    _Device(r"\bV100-SXM2\b", 125, None, 15.7, "NVIDIA V100 data sheet, 2020"),
)


def peak_flops(device: torch.device, dtype: torch.dtype) -> Peak | None:
    """The peak of ``device`` for matrix products in ``dtype``: of a GPU as published, of a CPU as measured here.

    Measuring takes about 0.3 s. None for a GPU or a dtype that is not in the table, and for a part of a GPU (MIG).
    """
    if device.type == "cpu":
        return _measured(dtype)
    if device.type != "cuda":
        return None
    return published_peak(torch.cuda.get_device_name(device), dtype, tf32=_tf32_is_on())


def published_peak(name: str, dtype: torch.dtype, *, tf32: bool) -> Peak | None:
    """The published dense peak of a GPU.

    Args:
        name: what the driver calls it.
        tf32: whether float32 products may run in TF32.
    """
    found = next((row for row in _DEVICES if re.search(row.name, name)), None)
    if found is None or "MIG" in name:
        return None
    if dtype is torch.float32:
        rounded = tf32 and found.tf32 is not None
        tera, kind = (found.tf32, "TF32") if rounded else (found.single, "float32")
    elif dtype is torch.float16 or (dtype is torch.bfloat16 and found.tf32 is not None):
        tera, kind = found.half, str(dtype).removeprefix("torch.")
    else:
        return None
    return Peak((tera or math.nan) * _TERA, f"{name}, {kind}, dense: {found.source}")


def _tf32_is_on() -> bool:
    return torch.get_float32_matmul_precision() != "highest"


def _measured(dtype: torch.dtype) -> Peak | None:
    if not dtype.is_floating_point:
        return None
    with torch.no_grad():
        matrix, out = torch.full((_SIZE, _SIZE), 1 / _SIZE, dtype=dtype), torch.empty(_SIZE, _SIZE, dtype=dtype)
        best, end = math.inf, time.perf_counter() + _MEASURING_S
        torch.mm(matrix, matrix, out=out)  # the first one prepares
        while best == math.inf or time.perf_counter() < end:
            began = time.perf_counter()
            torch.mm(matrix, matrix, out=out)
            best = min(best, time.perf_counter() - began)
    name, threads = str(dtype).removeprefix("torch."), torch.get_num_threads()
    return Peak(
        2 * _SIZE**3 / best,
        f"measured: the fastest product of {_SIZE} x {_SIZE} matrices, {name}, on this CPU with {threads} threads",
    )
