"""What was once measured on this machine, in a JSON file of Tessera's cache folder."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
from pathlib import Path
from typing import Any

import torch

from tessera.program.last_report import cache_folder


class Remembered:
    """Names and what is known of them. A file that cannot be read or written is no error: it is measured again."""

    def __init__(self, file: str) -> None:
        self._file = file

    def get(self, name: str) -> Any:
        """What JSON has for ``name``; None: nothing is known."""
        return self._all().get(name)

    def put(self, name: str, value: Any) -> None:
        """Remember ``value``. Of processes that write at once, one may forget what another has just put in."""
        known = {**self._all(), name: value}
        with contextlib.suppress(OSError, RuntimeError):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            mine = folder / f".{self._file}-{os.getpid()}-{threading.get_ident()}"
            try:
                mine.write_text(json.dumps(known, indent=2), encoding="utf-8")
                mine.replace(folder / self._file)
            finally:
                mine.unlink(missing_ok=True)

    def _all(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            found = json.loads((cache_folder() / self._file).read_text(encoding="utf-8"))
            if isinstance(found, dict):
                return found
        return {}


def machine_name(device: torch.device) -> str:
    """What a measurement holds for: the device and, on a CPU, how much of it torch uses."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {torch.get_num_threads()} of {os.cpu_count()} cores, torch {torch.__version__}"
