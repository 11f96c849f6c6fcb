"""An emission as a folder: one kernel a file, an index to read, and the same as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tessera.backend.targets.emission import Emission, Kernel, LibraryCall, Schedule
from tessera.errors import ExportError

INDEX, JSON = "index.md", "emission.json"
LOOP_FILE = "loop_"  # begins the name of what launches the kernels of one turn of a time loop


def write(emission: Emission, folder: Path) -> list[Path]:
    """Write ``emission`` into ``folder``, which is made if need be; returns the files.

    Kernels as Triton (``.py``), PTX (``.ptx``) and machine code (``.cubin``), ``wrapper.py`` that calls them,
    ``index.md`` with the table, ``emission.json``. Files of the same names are replaced, others are left alone.

    Raises:
        ExportError: the folder cannot be written.
    """
    files: dict[str, str | bytes] = {
        INDEX: _index(emission),
        JSON: emission.to_json(),
        **emission.sources,
        **emission.cubins,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be written: {error.strerror}.",
            "Kernels are written into a folder, which is made if need be.",
            "Write another path.",
        ) from error
    return [folder / name for name in files]


def read(folder: Path) -> Emission:
    """What ``write`` has written.

    Raises:
        ExportError: there is nothing of the kind.
    """
    try:
        told: dict[str, Any] = json.loads((folder / JSON).read_text(encoding="utf-8"))
        told.pop("roofline_seconds")
        kernels = [
            Kernel(**one | {"schedules": [Schedule(**each) for each in one["schedules"]]})
            for one in told.pop("kernels")
        ]
        calls = [LibraryCall(**one) for one in told.pop("library_calls")]
        names = [f"{kernel.name}.{end}" for kernel in kernels for end in ("py", "ptx", "cubin")]
        found = {name: folder / name for name in ["wrapper.py", *names] if (folder / name).exists()}
        found |= {path.name: path for path in sorted(folder.glob(f"{LOOP_FILE}*.py"))}
        return Emission(
            **told,
            kernels=kernels,
            library_calls=calls,
            sources={name: path.read_text(encoding="utf-8") for name, path in found.items() if path.suffix != ".cubin"},
            cubins={name: path.read_bytes() for name, path in found.items() if path.suffix == ".cubin"},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"{folder} holds no emitted kernels: {type(error).__name__}: {error}.",
            f"It is a folder that was written with them, and has an {JSON}.",
            "Pass the folder of `tessera emit --out`.",
        ) from error


def _index(emission: Emission) -> str:
    table = str(emission)
    fused = [
        f"- `{kernel.name}.py`: {', '.join(kernel.operations) or 'copies'}"
        + "".join(f"\n  - {line}" for line in kernel.lines)
        for kernel in emission.kernels
    ]
    versions = ", ".join(f"{name} {version}" for name, version in emission.versions.items())
    return "\n".join(
        [
            f"# {emission.program} for {emission.target}",
            f"\nWritten with {versions}. Kernels are in the order of their roofline; `wrapper.py` calls them.",
            f"\n```text\n{table}\n```",
            "\n## What was fused into each kernel, and the lines it comes from\n",
            *fused,
            "",
        ]
    )
