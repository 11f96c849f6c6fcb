"""How much memory one call really takes more than there was before it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

Result = TypeVar("Result")
_STATM = Path("/proc/self/statm")
_PAUSE = 0.001  # seconds between two looks


def measured(call: Callable[[], Result], device: torch.device) -> tuple[Result, int | None]:
    """What ``call`` returns, and the bytes that it took at its peak; None where nobody knows.

    On a CPU it is what the whole process holds more than before (its resident set), looked at again and again: what
    libraries work in counts, and so does what other threads take meanwhile. On a GPU it is what torch allocates.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        return call(), torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu" or not _STATM.exists():
        return call(), None
    before = highest = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.wait(_PAUSE):
            highest = max(highest, resident())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        result = call()
    finally:
        last = resident()
        done.set()
        watcher.join()
    return result, max(highest, last) - before


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
