"""On what a table was measured: machine, versions, date."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import torch

import tessera

_PACKAGES = ("triton", "jax", "jaxlib", "optax")


def describe(device: torch.device) -> dict[str, str]:
    """The lines above the table, by label."""
    now = dt.datetime.now(dt.UTC)
    lines = {
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()}",
        "versions": ", ".join(_versions()),
        "compiler": _first_line("c++", "--version"),
        "commit": _first_line("git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"),
        "threads": f"PyTorch and Tessera {torch.get_num_threads()}, JAX its default",
    }
    if device.type == "cuda":
        lines["device"] = f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return lines


def load() -> str:
    """Processes that wanted a core, averaged over the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def file_name(device: torch.device, today: dt.date) -> str:
    """``<date>-<device>.txt``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} cores {_processor()}"
    return f"{today.isoformat()}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.txt"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8")) if info.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _memory_gib() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _versions() -> list[str]:
    own = [f"Python {platform.python_version()}", f"tessera {tessera.__version__}", f"torch {torch.__version__}"]
    return own + [f"{name} {_version(name)}" for name in _PACKAGES]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _first_line(program: str, *arguments: str) -> str:
    path = shutil.which(program)
    if path is None:
        return "not installed"
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return (done.stdout.strip() or "unknown").splitlines()[0]
