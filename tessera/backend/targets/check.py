"""Emitted kernels beside eager: run in Triton's interpreter, on the CPU, by the wrapper that would run on the GPU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import fx

from tessera import torch_internals
from tessera.backend.targets.attention import ATTENTION
from tessera.backend.targets.device import find_device
from tessera.backend.targets.emit import need_triton, run_child
from tessera.backend.targets.graph_json import program_to_json
from tessera.backend.targets.time_loops import loops_to_json
from tessera.errors import ExportError
from tessera.program import Program
from tessera.program.provenance import describe, source_line

# Sums in another order; a value in half precision has three digits.
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 5e-2


def check_program(program: Program, values: Sequence[torch.Tensor], target: str) -> float:
    """The largest difference of a result or an updated input, relative to its largest element.

    Args:
        program: before the pipeline.
        values: of its inputs, on the CPU; they are left as they are.
        target: the GPU that the kernels are for.

    Raises:
        ExportError: a difference is more than rounding explains, a kernel cannot be interpreted, or the program draws
            random numbers, which would be others.
        SettingError, MissingDependencyError: as ``emit_programs``.
    """
    _refuse_random(program)
    expected, found = run_eagerly(program, values), run_interpreted(program, values, target)
    largest = 0.0
    for name, right in expected.items():
        difference = _difference(found[name], right)
        half = right.dtype in (torch.float16, torch.bfloat16)
        if not difference <= (_HALF_TOLERANCE if half else _TOLERANCE):
            raise ExportError(
                f"{program.name}: {name} differs by {difference:.2g} of its largest element from eager on {target}.",
                "Kernels compute what eager computes, but for the order of sums.",
                "Please report this with the program; until then train on that GPU without Tessera.",
            )
        largest = max(largest, difference)
    return largest


def _refuse_random(program: Program) -> None:
    for node in program.graph.nodes:
        if node.target in ATTENTION:  # it could drop; on the CPU it never does
            continue
        if torch_internals.is_operator(node.target) and torch_internals.is_random(node.target):
            raise ExportError(
                f"{describe(node)} draws random numbers.",
                "A device draws others than the CPU, so results cannot be compared.",
                "Check the program without it, for example with dropout 0.",
                source_line(node),
            )


def run_eagerly(program: Program, values: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Results and updated inputs by name, one operation at a time."""
    own = [value.clone() for value in values]
    results = fx.Interpreter(program.graph_module, graph=program.graph).run(*own)
    return _by_name(program, results, own)


def run_interpreted(program: Program, values: Sequence[torch.Tensor], target: str) -> dict[str, torch.Tensor]:
    """The same by the kernels for a GPU."""
    device = find_device(target)
    need_triton(target)
    described, constants = program_to_json(program)
    loops, of_loops = loops_to_json(program)
    names = [node["name"] for node in described["nodes"] if node["op"] == "placeholder"]
    given = {name: value.contiguous().clone() for name, value in zip(names, values, strict=True)}
    with tempfile.TemporaryDirectory(prefix="tessera-check-") as name:
        folder = Path(name)
        job = {"target": device.name, "programs": [described], "loops": [loops]}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        save_file(of_loops, folder / "loops.safetensors")
        save_file(constants, folder / "constants.safetensors")
        save_file(given, folder / "values.safetensors")
        run_child(folder, program.name, device.name, interpreted=True)
        told = load_file(folder / "results.safetensors")
    results = [told[f"output {i}"] for i in range(len(program.outputs))]
    return _by_name(program, results, [told[f"input {i}"] for i in range(len(names))])


def _by_name(
    program: Program, results: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor]
) -> dict[str, torch.Tensor]:
    updated = {destination for destination, _ in program.updates()}
    changed = zip(program.placeholders, program.inputs, inputs, strict=True)
    after = {f"{value.name} afterwards": tensor for node, value, tensor in changed if node in updated}
    return {value.name: result for value, result in zip(program.outputs, results, strict=True)} | after


def _difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    a, b = found.double(), expected.double()
    return float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) if a.numel() else 0.0
