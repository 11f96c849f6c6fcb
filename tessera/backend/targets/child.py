"""The process that compiles for a GPU that is not here: ``python -m tessera.backend.targets.child FOLDER``.

Torch, Inductor and Triton are told here that the GPU exists, which no process of the user's may be. The folder holds
``job.json`` and one folder for each program, with its constants; the answer is written there, or ``error.json``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tessera import torch_internals
from tessera.backend.loops.loop import LOOP
from tessera.backend.rows.chunked import IN_CHUNKS
from tessera.backend.runner import run_pipeline
from tessera.backend.targets.absent import Properties
from tessera.backend.targets.costs import calls_of, kernels_of
from tessera.backend.targets.device import DEVICES, Device
from tessera.backend.targets.emission import Emission
from tessera.backend.targets.files import LOOP_FILE, write
from tessera.backend.targets.graph_json import program_from_json
from tessera.backend.targets.retarget import retarget
from tessera.backend.targets.schedules import compile_kernels
from tessera.backend.targets.time_loops import compile_turn, loops_from_json, turns_of
from tessera.errors import TesseraError
from tessera.program import Program, copy_graph


def main(arguments: list[str]) -> int:
    """Do the job in a folder; 0 if there is an answer of either kind."""
    folder = Path(arguments[0])
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    device = DEVICES[job["target"]]
    torch_internals.answer_as(Properties(device))
    for number, described in enumerate(job["programs"]):
        place = folder / str(number)
        try:
            loops_from_json(job["loops"][number], load_file(place / "loops.safetensors"), torch.device("cuda", 0))
            program = program_from_json(described, load_file(place / "constants.safetensors"))
            emission = _emit(program, device, workers=job["workers"], tf32=job["tf32"])
        except TesseraError as error:
            told: dict[str, Any] = {"received": error.received, "expected": error.expected, "fix": error.fix}
            if error.where:
                told["where"] = vars(error.where)
            (folder / "error.json").write_text(json.dumps(told), encoding="utf-8")
            return 0
        write(emission, place)
    return 0


def _emit(program: Program, device: Device, *, workers: int, tf32: bool) -> Emission:
    import triton

    started = time.perf_counter()
    program = retarget(program, torch.device("cuda", 0))
    inputs = [node.meta["val"] for node in program.placeholders]
    with torch_internals.recording_triton() as output:
        passes = run_pipeline(program)
        wrapper = torch_internals.compile_with_inductor(copy_graph(program.graph_module), inputs).source
        turns = _compile_turns(program, output)
    compiled = compile_kernels(output.kernels, workers)
    sources = (
        {f"{name}.py": text.lstrip("\n") for name, text in output.kernels.items()} | {"wrapper.py": wrapper} | turns
    )
    chosen = {name: found.binaries[0] for name, found in compiled.items() if found.binaries}
    return Emission(
        program=program.name,
        target=device.name,
        architecture=device.architecture,
        versions={"torch": str(torch.__version__), "triton": triton.__version__},
        kernels=kernels_of(output, compiled, device),
        library_calls=calls_of(output, device, tf32=tf32),
        host_calls=sum(launch.kind == "host" for launch in output.launches),
        compile_seconds=time.perf_counter() - started,
        notes=[*(f"pass {record}" for record in passes), *program.notes, *_repeated(program)],
        sources=sources | {f"{name}.ptx": binary.ptx for name, binary in chosen.items()},
        cubins={f"{name}.cubin": binary.cubin for name, binary in chosen.items()},
    )


def _compile_turns(program: Program, output: torch_internals.TritonOutput) -> dict[str, str]:
    """Wrappers of the turns of its loops, by file name; what they launch is launched in every turn."""
    output.launches[:] = [launch for launch in output.launches if launch.name != f"torch.ops.{LOOP}"]
    wrappers = {}
    for name, turns in turns_of(program).items():
        first = len(output.launches)
        wrappers[f"{LOOP_FILE}{name}.py"] = compile_turn(name).source
        output.launches.extend(output.launches[first:] * (turns - 1))
    return wrappers


def _repeated(program: Program) -> list[str]:
    calls = len(program.graph.find_nodes(op="call_function", target=IN_CHUNKS))
    if not calls:
        return []
    return [f"computed for some rows at a time: {calls} parts, whose kernels run for each chunk and are counted once"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
