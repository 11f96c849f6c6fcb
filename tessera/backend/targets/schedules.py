"""Compiles every kernel with every schedule that Inductor offers, and chooses one of them without running it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tessera import torch_internals
from tessera.backend.targets.cubin import Resources, read_resources


@dataclass(frozen=True)
class Compiled:
    """What became of one kernel.

    Attributes:
        binaries: one for each schedule, the chosen one first, and ``resources`` aligned with them.
        error: why nothing was made of it; empty if something was.
    """

    binaries: list[torch_internals.TritonBinary] = field(default_factory=list)
    resources: list[Resources] = field(default_factory=list)
    error: str = ""


def compile_kernels(sources: dict[str, str], workers: int) -> dict[str, Compiled]:
    """Compile kernels by name, several at once; one that fails is told and does not keep the others from it."""
    if workers < 2 or len(sources) < 2:
        return {name: compile_kernel(name, source) for name, source in sources.items()}
    # Forked, so that a worker has what this process was told of the device.
    with ProcessPoolExecutor(min(workers, len(sources)), multiprocessing.get_context("fork")) as pool:
        return dict(zip(sources, pool.map(compile_kernel, sources.keys(), sources.values()), strict=True))


def compile_kernel(name: str, source: str) -> Compiled:
    """Compile one kernel; its schedules stand in the order of preference."""
    try:
        binaries = torch_internals.compile_triton(name, source)
        pairs = [(binary, read_resources(binary.cubin)) for binary in binaries]
    except Exception as error:  # Triton and the assembler raise what they like
        return Compiled(error=torch_internals.compiler_reason(error))
    # Nothing can be timed here. What spills goes to memory again and again; else the order is Inductor's own.
    pairs.sort(key=lambda pair: pair[1].local_bytes)
    return Compiled([binary for binary, _ in pairs], [resources for _, resources in pairs])
