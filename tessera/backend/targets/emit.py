"""Emits Programs for a GPU that need not be here, in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tessera.backend.targets.device import find_device
from tessera.backend.targets.emission import Emission
from tessera.backend.targets.files import read
from tessera.backend.targets.graph_json import program_to_json
from tessera.backend.targets.time_loops import loops_to_json
from tessera.errors import ExportError, MissingDependencyError, SourceLine
from tessera.program import Program

_PACKAGES = str(Path(__file__).parents[3])


def emit_programs(programs: Sequence[Program], target: str) -> list[Emission]:
    """Programs as the kernels of a GPU: captured on the CPU, retargeted, improved, compiled to machine code.

    Args:
        programs: before the pipeline; they are left as they are.
        target: name of the GPU, one of ``DEVICES``.

    Raises:
        SettingError: there is no such target.
        MissingDependencyError: Triton is not installed.
        ExportError: an operation cannot run on a GPU, or the compiler gave up on a graph as a whole.
    """
    device = find_device(target)
    need_triton(target)
    described = [program_to_json(program) for program in programs]
    loops = [loops_to_json(program) for program in programs]
    job = {
        "target": device.name,
        "programs": [told for told, _ in described],
        "loops": [told for told, _ in loops],
        "workers": len(os.sched_getaffinity(0)),
        "tf32": torch.get_float32_matmul_precision() != "highest",
    }
    with tempfile.TemporaryDirectory(prefix="tessera-emit-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        for number, ((_, constants), (_, of_loops)) in enumerate(zip(described, loops, strict=True)):
            (folder / str(number)).mkdir()
            save_file(constants, folder / str(number) / "constants.safetensors")
            save_file(of_loops, folder / str(number) / "loops.safetensors")
        run_child(folder, ", ".join(program.name for program in programs), device.name)
        return [read(folder / str(number)) for number in range(len(programs))]


def need_triton(target: str) -> None:
    """Refuse to go on without Triton.

    Raises:
        MissingDependencyError: it is not installed.
    """
    if importlib.util.find_spec("triton") is None:
        raise MissingDependencyError(
            f"target={target!r} was passed, and Triton is not installed.",
            "Kernels for a GPU are compiled by Triton, which needs no GPU for it.",
            "Install it with Tessera: pip install 'tessera[triton]'.",
        )


def run_child(folder: Path, programs: str, target: str, *, interpreted: bool = False) -> None:
    """Do the job in a folder in a process of its own, which compiles it or runs it in the interpreter.

    Raises:
        ExportError: what went wrong there.
    """
    path = os.pathsep.join(filter(None, [_PACKAGES, os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    module = "interpreter" if interpreted else "child"
    environment |= {"TRITON_INTERPRET": "1"} if interpreted else {}
    command = [sys.executable, "-W", "ignore", "-m", f"tessera.backend.targets.{module}", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ourselves
    if (folder / "error.json").exists():
        told: dict[str, Any] = json.loads((folder / "error.json").read_text(encoding="utf-8"))
        where = SourceLine(**told["where"]) if "where" in told else None
        raise ExportError(told["received"], told["expected"], told["fix"], where)
    if done.returncode:
        reason = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it said nothing")
        error = ExportError(
            f"{programs} could not be emitted for {target}: {reason.rstrip('.')}.",
            "The pipeline and Inductor take every graph of operators.",
            "Please report this; all that the compiler said is in the notes of this error.",
        )
        error.add_note(done.stderr)
        raise error
