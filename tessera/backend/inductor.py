"""The handoff: a Program through the pipeline and into Inductor, with the Report of the way."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tessera import torch_internals
from tessera.backend.memory_pool import MemoryPool
from tessera.backend.native import NativeProgram, make_native
from tessera.backend.products import prefers_onednn, with_products
from tessera.backend.runner import run_pipeline
from tessera.backend.tail_stores import writes_past_the_end
from tessera.program import Compilation, Program, copy_graph


@dataclass(frozen=True)
class Executable:
    """A compiled Program. ``call`` takes the list of inputs (and empties it) and returns the outputs.

    ``wrapper`` is what Inductor wrote, for those who read it; ``native`` the same as one C call, where possible.
    """

    call: Callable[[list[Any]], Sequence[Any]]
    wrapper: torch_internals.InductorOutput
    native: NativeProgram | None
    compilation: Compilation


def compile_program(
    program: Program,
    capture_seconds: float = 0.0,
    inductor: torch_internals.PieceCompiler = torch_internals.compile_with_inductor,
) -> Executable:
    """Run the pipeline over ``program`` and compile it for the device its inputs are on."""
    started = time.perf_counter()
    passes = run_pipeline(program)
    operations = program.operations()
    piped = time.perf_counter()
    inputs = [node.meta["val"] for node in program.placeholders]
    output, notes = _compiled(program, inputs, inductor)
    native = make_native(output, inputs)
    torch_internals.replace_name(output, "empty_strided_cpu", lambda _: MemoryPool().allocate)
    if prefers_onednn():
        torch_internals.replace_name(output, "extern_kernels", with_products)
    finished = time.perf_counter()
    compilation = Compilation(
        program.name,
        passes,
        operations=operations,
        kernels=_count(_FUSED_KERNEL, output.source),
        external_calls=_count(_EXTERNAL_CALL, output.source),
        capture_seconds=capture_seconds,
        pipeline_seconds=piped - started,
        inductor_seconds=finished - piped,
        notes=notes,
    )
    if native is not None:
        compilation.notes.append("runs as one C call")
    return Executable(native or torch_internals.without_gradients(output.call), output, native, compilation)


def _compiled(
    program: Program, inputs: Sequence[Any], inductor: torch_internals.PieceCompiler
) -> tuple[torch_internals.InductorOutput, list[str]]:
    """What Inductor makes of a graph, and notes where its first answer would not do."""
    with contextlib.ExitStack() as settings:
        try:
            output = inductor(copy_graph(program.graph_module), inputs)
        except Exception:  # one of Inductor's own patterns may fail on a graph that is right
            settings.enter_context(torch_internals.without_patterns())
            output = inductor(copy_graph(program.graph_module), inputs)
        if not writes_past_the_end(output.source):
            return output, []
        settings.enter_context(torch_internals.without_vectors())
        output = inductor(copy_graph(program.graph_module), inputs)
        return output, ["compiled again without vectors, which would have written past a buffer (torch issue 196681)"]


_OWN = r"torch\.ops\.tessera\.update_many"
_FUSED_KERNEL = re.compile(rf"^\s+(?:cpp_fused_\w+\(|triton_\w+\.run\(|{_OWN})", re.MULTILINE)
_EXTERNAL_CALL = re.compile(rf"^\s+(?!{_OWN})(?:\w+ = )?(?:extern_kernels|aten|torch\.ops)\.[\w.]+\(", re.MULTILINE)


def _count(pattern: re.Pattern[str], source: str) -> int:
    return len(pattern.findall(source))
