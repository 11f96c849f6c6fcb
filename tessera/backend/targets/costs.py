"""What kernels and library calls cost at least: bytes, FLOPs and the roofline of both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.targets.device import Device
from tessera.backend.targets.emission import Kernel, LibraryCall, Schedule
from tessera.backend.targets.schedules import Compiled
from tessera.program.provenance import source_line


def kernels_of(output: torch_internals.TritonOutput, compiled: dict[str, Compiled], device: Device) -> list[Kernel]:
    """The kernels of a program, the most costly first."""
    launches: dict[str, list[torch_internals.Launch]] = defaultdict(list)
    for launch in output.launches:
        if launch.kind == "triton":
            launches[launch.name].append(launch)
    kernels = [_kernel(name, launches[name], found, device) for name, found in compiled.items()]
    return sorted(kernels, key=lambda kernel: -kernel.seconds * kernel.launches)


def calls_of(output: torch_internals.TritonOutput, device: Device, *, tf32: bool) -> list[LibraryCall]:
    """The library calls of a program by name, the most costly first."""
    calls: dict[str, list[torch_internals.Launch]] = defaultdict(list)
    for launch in output.launches:
        if launch.kind == "library":
            calls[launch.name].append(launch)
    found = []
    for name, made in calls.items():
        seconds = sum(_seconds(call, device, product=True, tf32=tf32) for call in made)
        found.append(LibraryCall(name, len(made), sum(c.num_bytes for c in made), sum(c.flops for c in made), seconds))
    return sorted(found, key=lambda call: -call.seconds)


def _kernel(name: str, launches: Sequence[torch_internals.Launch], found: Compiled, device: Device) -> Kernel:
    first = launches[0]
    pairs = zip(found.binaries, found.resources, strict=True)
    schedules = [
        Schedule(b.blocks, b.num_warps, b.num_stages, r.registers, r.local_bytes, b.shared_bytes) for b, r in pairs
    ]
    nodes = sorted({node for launch in launches for node in launch.nodes})
    return Kernel(
        name,
        len(launches),
        first.num_bytes,
        first.flops,
        _seconds(first, device),
        sorted({_operation(node) for node in nodes}),
        list(dict.fromkeys(str(place) for node in nodes if (place := source_line(node)))),
        schedules,
        found.error,
    )


def _seconds(launch: torch_internals.Launch, device: Device, *, product: bool = False, tf32: bool = False) -> float:
    peak = device.peak(launch.dtype or torch.float32, product=product, tf32=tf32)
    return device.seconds(launch.num_bytes, launch.flops, peak)


def _operation(node: fx.Node) -> str:
    return str(node.target).removesuffix(".default").removesuffix(".Tensor")
