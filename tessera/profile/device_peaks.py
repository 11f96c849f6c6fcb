"""What this device reaches at best: operations a second by dtype, bytes a second. Measured once and remembered."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from dataclasses import asdict, dataclass, field

import torch

from tessera.program import CallRecord
from tessera.program.remembered import Remembered, machine_name
from tessera.train.callbacks.peak_flops import peak_flops

_MEASURING_S = 0.2
_KNOWN = Remembered("device_peaks.json")
_COPIED = 64 << 20  # bytes, more than any cache holds


@dataclass
class Peaks:
    """The measured peaks of a device.

    Attributes:
        device: what was measured, in words.
        flops: of matrix products, operations a second, by the name of the dtype (``"float32"``).
        bandwidth: of memory, bytes a second, read and written.
    """

    device: str
    flops: dict[str, float] = field(default_factory=dict)
    bandwidth: float = 0.0

    def least_seconds(self, num_bytes: float, flops: float, dtype: str) -> float:
        """The roofline: what moving the bytes or computing the FLOPs takes at least, at these peaks."""
        peak = self.flops.get(dtype) or self.flops.get("float32") or math.inf
        return max(num_bytes / self.bandwidth if self.bandwidth else 0.0, flops / peak)

    def roofline_share(self, call: CallRecord, seconds: float) -> float | None:
        """How much of the time a call had to take; above 1 where its data was in a cache. None: nothing is known."""
        least = self.least_seconds(call.num_bytes, call.flops, call.dtype)
        return least / seconds if least and seconds > 0 else None


def device_peaks(device: torch.device | None = None, dtypes: tuple[str, ...] = ("float32",)) -> Peaks:
    """The peaks of ``device``, from the cache folder or measured now, which takes about 0.3 s for each number.

    Args:
        device: the CPU if None.
        dtypes: which products are of interest.
    """
    device = device or torch.device("cpu")
    peaks = _remembered(machine_name(device))
    known = copy.deepcopy(peaks)
    for dtype in dtypes:
        if dtype not in peaks.flops:
            found = peak_flops(device, getattr(torch, dtype))
            peaks.flops[dtype] = found.flops if found else 0.0
    peaks.bandwidth = peaks.bandwidth or _bandwidth(device)
    if peaks != known:
        _remember(peaks)
    return peaks


def measure_again(peaks: Peaks, dtype: str, reached: float) -> None:
    """Correct a peak of products that was ``reached`` by a kernel: the machine was busy when it was measured."""
    found = peak_flops(torch.device("cpu"), getattr(torch, dtype))
    peaks.flops[dtype] = max(reached, found.flops if found else 0.0, peaks.flops.get(dtype, 0.0))
    _remember(peaks)


def _bandwidth(device: torch.device) -> float:
    source, target = (torch.ones(_COPIED // 4, device=device) for _ in range(2))
    wait = torch.accelerator.synchronize if device.type != "cpu" else _nothing
    best, end = math.inf, time.perf_counter() + _MEASURING_S
    while best == math.inf or time.perf_counter() < end:
        wait()
        began = time.perf_counter()
        target.copy_(source)
        wait()
        best = min(best, time.perf_counter() - began)
    return 2 * _COPIED / best


def _nothing() -> None:
    """What there is to wait for on a CPU."""


def _remembered(name: str) -> Peaks:
    """What is known; nothing where the file is not what was written."""
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        one = _KNOWN.get(name)
        return Peaks(name, {dtype: float(peak) for dtype, peak in one["flops"].items()}, float(one["bandwidth"]))
    return Peaks(name)


def _remember(peaks: Peaks) -> None:
    _KNOWN.put(peaks.device, asdict(peaks))
