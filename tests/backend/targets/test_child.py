"""Training steps of five models, for GPUs that are not here: every kernel compiles, and none spills."""

from __future__ import annotations

import subprocess

import pytest
import torch

from tessera.backend.targets.device import DEVICES
from tessera.backend.targets.emit import emit_programs
from tessera.backend.targets.files import LOOP_FILE
from tessera.capture.emit import captured
from tests.backend.hand_made import program
from tests.backend.targets.needs_triton import needs_triton
from tests.backend.targets.steps import MODELS, step_of

pytestmark = needs_triton


def tools(name: str, *arguments: str) -> str:
    """What a tool that comes with Triton says."""
    from triton import knobs

    command = [getattr(knobs.nvidia, name).path, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def check(emission, target: str) -> None:
    assert not emission.failed
    assert not emission.spilling
    assert emission.architecture == DEVICES[target].architecture
    assert emission.kernels
    assert emission.library_calls
    wrappers = [text for name, text in emission.sources.items() if name.startswith(("wrapper", LOOP_FILE))]
    for kernel in emission.kernels:
        chosen = kernel.schedules[0]
        assert 0 < chosen.registers <= 255
        assert 0 <= chosen.shared_bytes <= DEVICES[target].shared_memory
        assert kernel.launches > 0
        assert kernel.num_bytes > 0
        assert f".target {emission.architecture}" in emission.sources[f"{kernel.name}.ptx"]
        assert emission.cubins[f"{kernel.name}.cubin"].startswith(b"\x7fELF")
        assert "@triton.jit" in emission.sources[f"{kernel.name}.py"]
        assert any(f"{kernel.name}.run(" in text for text in wrappers)
    assert 0 < emission.roofline_seconds < 1
    lines = {line for kernel in emission.kernels for line in kernel.lines}
    assert any("steps.py" in line for line in lines) or "Sequential" in emission.program


def captured_steps(names) -> list:
    return [captured(step, *batch)[0] for step, batch in map(step_of, names)]


def test_every_kernel_of_the_five_steps_compiles():
    for emission in emit_programs(captured_steps(sorted(MODELS)), "h200"):
        check(emission, "h200")


@pytest.mark.slow
@pytest.mark.parametrize("target", ["a100", "b200", "l4"])
def test_every_kernel_compiles_for_other_devices(target):
    for emission in emit_programs(captured_steps(sorted(MODELS)), target):
        check(emission, target)


def test_costs_are_those_of_the_shapes_and_needs_those_of_the_assembler(tmp_path):
    from tessera.backend.targets.cubin import read_resources

    a, b = torch.randn(64, 256), torch.randn(256, 128)
    programs = [
        program(lambda a, b: ((a.sin() * 2) @ b,), a, b),
        program(lambda a: (a.sin() * a.cos(),), a),
    ]
    emission, simple = emit_programs(programs, "a100")
    (kernel,), (product,) = emission.kernels, emission.library_calls
    assert kernel.num_bytes == 2 * 4 * a.numel()
    assert kernel.flops == 2 * a.numel()
    assert product.flops == 2 * 64 * 256 * 128
    assert product.num_bytes == 4 * (64 * 256 + 256 * 128 + 64 * 128)
    cubin, ptx = tmp_path / "kernel.cubin", tmp_path / "kernel.ptx"
    cubin.write_bytes(emission.cubins[f"{kernel.name}.cubin"])
    said = tools("cuobjdump", "--dump-resource-usage", str(cubin))
    assert f"REG:{kernel.schedules[0].registers} STACK:{kernel.schedules[0].spilled_bytes} " in said

    # With too few registers the same is read of what was spilled.
    ptx.write_text(simple.sources[f"{simple.kernels[0].name}.ptx"])
    tools("ptxas", "--maxrregcount=16", "--gpu-name=sm_80", str(ptx), "-o", str(cubin))
    found = read_resources(cubin.read_bytes())
    assert f"REG:{found.registers} STACK:{found.local_bytes} " in tools(
        "cuobjdump", "--dump-resource-usage", str(cubin)
    )
    assert found.local_bytes > 0
    # This process still knows that there is no such GPU.
    assert not torch.cuda.is_available() or torch.backends.cuda.is_built()
