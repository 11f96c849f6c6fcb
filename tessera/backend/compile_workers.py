"""How many C++ compilers may run at once: as many as there are cores, and no more than memory has room for."""

from __future__ import annotations

import os
from pathlib import Path

COMPILER_BYTES = 1 << 30  # what one may need; seen: 0.6 GiB, most of it the compiled header
_CGROUP = Path("/sys/fs/cgroup")


def compile_workers() -> int:
    """At least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = free_bytes()
    return max(1, cores if free is None else min(cores, free // COMPILER_BYTES))


def free_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = _CGROUP) -> int | None:
    """Memory that the system and the container still give; None where nobody says."""
    available = (line.split() for line in _text(meminfo).splitlines() if line.startswith("MemAvailable:"))
    found = [1024 * int(kib) for _, kib, *_ in available]
    limit, used = _text(cgroup / "memory.max").strip(), _text(cgroup / "memory.current").strip()
    if limit.isdigit() and used.isdigit():
        found.append(max(0, int(limit) - int(used)))
    return min(found, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
