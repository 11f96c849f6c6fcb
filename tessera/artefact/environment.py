"""What compiled code was made for: versions and processor."""

from __future__ import annotations

import functools
import hashlib
import platform
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import torch

from tessera import __version__

_INSTRUCTIONS = "instructions"


@functools.cache
def environment() -> dict[str, str]:
    """Versions and processor of this process, in words that can be compared."""
    return {
        "torch": f"{torch.__version__} ({torch.version.git_version})",
        "tessera": _version(),
        "python": str(sysconfig.get_config_var("SOABI")),
        "system": f"{platform.system()} {platform.machine()} {' '.join(platform.libc_ver())}".strip(),
        "processor": f"{_processor('vendor_id')} {torch.backends.cpu.get_cpu_capability()}".strip(),
        _INSTRUCTIONS: " ".join(sorted(_processor("flags").split())),
    }


def unfit(saved: Mapping[str, str]) -> list[str]:
    """What of ``saved`` this process has not; a processor may know more than is needed."""
    here = environment()
    found = [
        f"{name} was {saved.get(name)} and is {value}"
        for name, value in here.items()
        if name != _INSTRUCTIONS and saved.get(name) != value
    ]
    missing = sorted({*saved.get(_INSTRUCTIONS, "").split()} - {*here[_INSTRUCTIONS].split()})
    return [*found, *([f"this processor has no {', '.join(missing)}"] if missing else [])]


@functools.cache
def _processor(name: str) -> str:
    """An entry of what Linux says about the first processor; empty elsewhere."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def _version() -> str:
    """The version of Tessera and a hash of the sources that captured and compiled code depends on."""
    package = Path(__file__).parents[1]
    folders = ("artefact", "backend", "capture", "nn", "optim", "program")
    sources = [
        package / "torch_internals.py",
        *(path for folder in folders for path in (package / folder).rglob("*.py")),
    ]
    content = hashlib.sha256()
    for path in sorted(sources):
        content.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return f"{__version__} ({content.hexdigest()[:12]})"
