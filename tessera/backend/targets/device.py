"""Descriptions of GPUs: what the compiler asks a device for, and its published peaks.

Peaks are dense (data sheets print twice as much, with sparsity) and of the SXM form where there are several.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

import torch

from tessera.errors import SettingError

_TERA, _GIGA, _KIB = 1e12, 1e9, 1 << 10


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU.

    Attributes:
        name: what a user calls it; ``title`` is what NVIDIA does.
        capability: compute capability, major and minor.
        processors: streaming multiprocessors.
        threads: most resident threads of a multiprocessor.
        shared_memory: most shared memory of a block, in bytes.
        level2: second-level cache, in bytes.
        memory: in bytes.
        bandwidth: of the memory, bytes a second.
        half, tf32, single, double: peaks in FLOP/s; ``half`` is that of float16 and bfloat16 products.
        source: where the figures are from.
    """

    name: str
    title: str
    capability: tuple[int, int]
    processors: int
    threads: int
    shared_memory: int
    level2: int
    memory: int
    bandwidth: float
    half: float
    tf32: float
    single: float
    double: float
    source: str

    @property
    def architecture(self) -> str:
        """``sm_90``: what PTX is assembled for."""
        return f"sm_{self.capability[0]}{self.capability[1]}"

    def peak(self, dtype: torch.dtype, *, product: bool = False, tf32: bool = False) -> float:
        """FLOP/s in ``dtype``: on the tensor cores for a matrix ``product``, else element by element.

        Arithmetic on single elements runs in float32, whatever the elements are stored as; float64 stays what it is.
        """
        if dtype is torch.float64:
            return self.double
        if product and dtype in (torch.float16, torch.bfloat16):
            return self.half
        return self.tf32 if product and tf32 and dtype is torch.float32 else self.single

    def seconds(self, num_bytes: float, flops: float, peak: float) -> float:
        """The roofline: the longer of moving the bytes and doing the arithmetic (Williams et al., 2009)."""
        return max(num_bytes / self.bandwidth, flops / peak if flops else 0.0)


def _device(
    name: str,
    title: str,
    capability: tuple[int, int],
    processors: int,
    chip: tuple[int, int, int],
    memory: tuple[float, float],
    peaks: tuple[float, float, float, float],
    source: str,
) -> Device:
    """``chip``: threads, KiB of shared memory, MiB of level 2; ``memory``: GB and GB/s; ``peaks`` in TFLOP/s."""
    threads, shared, level2 = chip
    half, tf32, single, double = (peak * _TERA for peak in peaks)
    return Device(
        name=name,
        title=title,
        capability=capability,
        processors=processors,
        threads=threads,
        shared_memory=shared * _KIB,
        level2=level2 * _KIB * _KIB,
        memory=math.floor(memory[0] * _GIGA),
        bandwidth=memory[1] * _GIGA,
        half=half,
        tf32=tf32,
        single=single,
        double=double,
        source=source,
    )


# Threads and shared memory of a block: CUDA C++ Programming Guide, table of compute capabilities.
DEVICES = {
    device.name: device
    for device in (
        _device(
            "a100",
            "NVIDIA A100-SXM4-80GB",
            (8, 0),
            108,
            (2048, 163, 40),
            (80, 2039),
            (312, 156, 19.5, 9.7),
            "NVIDIA A100 data sheet, 2021; A100 architecture white paper, 2020",
        ),
        _device(
            "l4",
            "NVIDIA L4",
            (8, 9),
            58,
            (1536, 99, 48),
            (24, 300),
            (121, 60, 30.3, 0.473),
            "NVIDIA L4 data sheet, 2023; Ada architecture white paper, 2023",
        ),
        _device(
            "h100",
            "NVIDIA H100 80GB HBM3",
            (9, 0),
            132,
            (2048, 227, 50),
            (80, 3350),
            (989.5, 494.5, 67, 34),
            "NVIDIA H100 data sheet, 2023; H100 architecture white paper, 2022",
        ),
        _device(
            "h200",
            "NVIDIA H200",
            (9, 0),
            132,
            (2048, 227, 50),
            (141, 4800),
            (989.5, 494.5, 67, 34),
            "NVIDIA H200 data sheet, 2024; H100 architecture white paper, 2022",
        ),
        _device(
            "b200",
            "NVIDIA B200",
            (10, 0),
            148,
            (2048, 227, 126),
            (180, 8000),
            (2250, 1125, 75, 37),
            "NVIDIA Blackwell data sheet, 2024",
        ),
    )
}


def find_device(name: str) -> Device:
    """The description of a GPU.

    Raises:
        SettingError: there is none of that name; the nearest is suggested.
    """
    found = DEVICES.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        near = difflib.get_close_matches(str(name).lower(), DEVICES, n=1, cutoff=0.4)
        raise SettingError(
            f"target={name!r} was passed.",
            f"A target is one of {', '.join(sorted(DEVICES))}.",
            f'Write target="{near[0] if near else "h200"}".',
        )
    return found
