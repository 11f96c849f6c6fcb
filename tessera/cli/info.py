"""`tessera info`: what is installed here, and what the machine has."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

# What is not needed and of use: the package, the extra of Tessera that it comes with, and what it is for.
OPTIONAL = (
    ("pyarrow", "data", "Parquet and Arrow files"),
    ("pillow", "data", "folders of images"),
    ("datasets", "huggingface", "Hugging Face datasets"),
    ("torchmetrics", "metrics", "metrics of torchmetrics"),
    ("tensorboard", "tensorboard", "the callback TensorBoard"),
    ("matplotlib", "plot", "history.plot()"),
    ("triton", "triton", "kernels for a GPU that is not here"),
    ("onnx", "onnx", "export to ONNX"),
    ("onnxscript", "onnx", "export to ONNX"),
    ("onnxruntime", "onnx", "export to ONNX, checked"),
    ("executorch", "executorch", "export to .pte"),
    ("openvino", "openvino", "export to OpenVINO"),
    ("litert-torch", "tflite", "export to TFLite"),
    ("jax", "stablehlo", "export to StableHLO"),
    ("torchax", "stablehlo", "export to StableHLO"),
)
_DESCRIPTION = """\
Shows the versions of Tessera, torch and Python, the devices, the C++ compiler that kernels are built with, the folders
that hold what was compiled, and the optional packages: which are there, and how to install the others.

  tessera info step.tessera     # what a saved step or exported model was compiled from and for; nothing in it is run
"""


def add_command(commands: Any) -> None:
    """Add ``info`` to the commands of a parser."""
    parser = commands.add_parser(
        "info",
        help="versions, devices, compiler, caches and optional packages",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "path", metavar="FILE", type=Path, nargs="?", help="what step.save(FILE) or tessera.export wrote"
    )
    parser.add_argument("--json", action="store_true", help="as JSON; sizes in bytes")
    parser.add_argument("--traceback", action="store_true", help="show where in Tessera an error was raised")
    parser.set_defaults(run=_run)


def _run(found: argparse.Namespace) -> int:
    if found.path is not None:
        from tessera.cli import artefact_facts

        facts = artefact_facts.collect(found.path)
        print(json.dumps(facts, indent=2) if found.json else _sections(facts))
        return 0
    facts = collect()
    print(json.dumps(facts, indent=2) if found.json else _text(facts))
    return 0


def collect() -> dict[str, dict[str, Any]]:
    """All of it, by section, in plain values; what is not there is None."""
    import torch

    from tessera import __version__

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "versions": {
            "tessera": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "triton": _version("triton"),
            "cuda": torch.version.cuda,
            "system": platform.platform(),
        },
        "devices": {
            "cpu": _processor(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cores": _cores(),
            "threads": torch.get_num_threads(),
            **{f"cuda:{index}": name for index, name in enumerate(cuda)},
            "mps": "Apple GPU" if torch.backends.mps.is_available() else None,
        },
        "compiler": _compiler(),
        "caches": {str(folder): _bytes_in(folder) for folder in _cache_folders()},
        "packages": {name: _version(name) for name, _, _ in OPTIONAL},
    }


def _text(facts: dict[str, dict[str, Any]]) -> str:
    from tessera.checkpoint.inspection import size

    extras = {name: (extra, purpose) for name, extra, purpose in OPTIONAL}
    shown = {section: {name: _or_none(value) for name, value in found.items()} for section, found in facts.items()}
    shown["caches"] = {
        folder: "not there yet" if nbytes is None else size(nbytes) for folder, nbytes in facts["caches"].items()
    }
    shown["packages"] = {
        name: f"{version or 'not installed'}  {extras[name][1]}"
        + ("" if version else f": pip install 'tessera[{extras[name][0]}]'")
        for name, version in facts["packages"].items()
    }
    return _sections(shown)


def _sections(shown: dict[str, dict[str, Any]]) -> str:
    width = max(len(name) for found in shown.values() for name in found)
    return "\n\n".join(
        "\n".join([section, *(f"  {name.ljust(width)}  {value}" for name, value in found.items())])
        for section, found in shown.items()
    )


def _or_none(value: Any) -> str:
    return "none" if value is None else str(value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name; Python knows only its kind on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _cores() -> int | None:
    """Those that this process may use, where the system says it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _compiler() -> dict[str, str | None]:
    from tessera import torch_internals

    command = torch_internals.cpp_compiler() or None
    version = None
    if command:
        told = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
        version = told.stdout.partition("\n")[0] or None
    return {"command": command, "version": version}


def _cache_folders() -> list[Path]:
    from tessera import torch_internals
    from tessera.program.last_report import cache_folder

    triton = os.environ.get("TRITON_CACHE_DIR")
    return [
        cache_folder(),
        Path(torch_internals.inductor_cache_folder()),
        Path(triton) if triton else Path.home() / ".triton" / "cache",
    ]


def _bytes_in(folder: Path) -> int | None:
    """Bytes of the files in a folder and below; None where there is no such folder."""
    return sum(_sizes(str(folder))) if folder.is_dir() else None


def _sizes(folder: str) -> Iterator[int]:
    """What is removed meanwhile, or may not be read, is not counted."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
    except OSError:
        return
