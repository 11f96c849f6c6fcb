"""The handoff: a Program through the pipeline and into Inductor, with the Report of the way."""

from __future__ import annotations

import contextlib
import operator
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tessera import torch_internals
from tessera.backend.bug_report import leave_bug_report
from tessera.backend.cache_record import CacheRecord
from tessera.backend.compile_progress import compiling, stage
from tessera.backend.compile_workers import compile_workers
from tessera.backend.executables import register
from tessera.backend.graph_compiler import compile_graph
from tessera.backend.memory.together import Together, keep_together
from tessera.backend.native import NativeProgram, make_native
from tessera.backend.rewrite import Pass
from tessera.backend.runner import run_pipeline
from tessera.backend.tuning import Run, tuned
from tessera.backend.whole_division import refuse_division_by_zero
from tessera.backend.wrapper_calls import records_of
from tessera.program import Compilation, Program, copy_graph


@dataclass(eq=False)
class Executable:
    """A compiled Program. ``call`` takes the list of inputs (and empties it) and returns the outputs.

    ``wrapper`` is what Inductor wrote, for those who read it; ``native`` the same as one C call, where possible.
    ``original`` is the Program before any pass, where somebody asked for it. A profile puts another ``call`` in place
    for as long as it lasts.
    """

    call: Callable[[list[Any]], Sequence[Any]]
    wrapper: torch_internals.InductorOutput
    native: NativeProgram | None
    compilation: Compilation
    original: Program | None = None

    def __post_init__(self) -> None:
        register(self)

    def run(self, inputs: list[Any]) -> Sequence[Any]:
        """What ``call`` is by now, for those who keep a function for good."""
        return self.call(inputs)


def compile_program(
    program: Program,
    capture_seconds: float = 0.0,
    inductor: torch_internals.PieceCompiler = torch_internals.compile_with_inductor,
    own_passes: Sequence[Pass] = (),
    tune: float | None = None,
    *,
    keep_original: bool = False,
) -> Executable:
    """Run the pipeline and the user's ``own_passes`` over ``program``; compile it for the device its inputs are on.

    ``tune`` is how many seconds other ways to compile it may be tried; None: none is. ``keep_original`` keeps a copy
    of the Program as it comes.

    Raises:
        MayDivideByZero: a kernel could end the process.
    """
    refuse_division_by_zero(program.graph)
    started = time.perf_counter()
    original = replace(program, graph_module=copy_graph(program.graph_module), notes=[]) if keep_original else None
    record = CacheRecord(program)
    budget = program.memory_budget
    limited = budget is not None and not budget.automatic
    with compiling(program.name), torch_internals.compiling_with(compile_workers()):
        stage("passes")
        passes = run_pipeline(program, own_passes=own_passes)
        operations = program.operations()
        piped = time.perf_counter()
        inputs = [node.meta["val"] for node in program.placeholders]
        stage("kernels")

        def build() -> _Built:
            with torch_internals.in_graph_order() if limited else contextlib.nullcontext():
                output, notes = compile_graph(program.graph_module, inputs, inductor)
            # One C call has memory of its own for every buffer.
            native = None if limited else make_native(output, inputs)
            together = keep_together(output, inputs) if limited else None
            return together or native or torch_internals.without_gradients(output.call), output, native, notes

        try:
            built, tried = (build(), []) if tune is None else tuned(program, build, operator.itemgetter(0), tune)
        except Exception as error:
            roles = [f"{value.name}: {value.role}" for value in program.inputs]
            leave_bug_report("compiler", program.name, error, {"given to it": program.graph}, roles)
            raise
    call, output, native, notes = built
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
        notes=[*program.notes, *notes, *tried, record.note()],
    )
    try:
        compilation.calls, compilation.memory = records_of(output.source, program)
    except Exception as error:  # a wrapper may be written otherwise than it ever was: the Report alone is poorer
        compilation.notes.append(f"what its calls were made of is not known: {type(error).__name__}: {error}")
    if isinstance(call, Together):
        call.tell(compilation)
    if native is not None:
        compilation.notes.append("runs as one C call")
    return Executable(call, output, native, compilation, original)


_Built = tuple[Run, torch_internals.InductorOutput, NativeProgram | None, list[str]]
_OWN = r"torch\.ops\.tessera\.(?:update_many|loop)\b"
_FUSED_KERNEL = re.compile(rf"^\s+(?:cpp_fused_\w+\(|triton_\w+\.run\(|(?:\w+ = )?{_OWN})", re.MULTILINE)
_EXTERNAL_CALL = re.compile(rf"^\s+(?:\w+ = )?(?!{_OWN})(?:extern_kernels|aten|torch\.ops)\.[\w.]+\(", re.MULTILINE)


def _count(pattern: re.Pattern[str], source: str) -> int:
    return len(pattern.findall(source))
