"""The ``tessera`` backend of torch.compile: graphs from Dynamo through Tessera's pipeline, piece by piece.

A piece that cannot be compiled runs eagerly, and the Report says why: a compiler that gives up is never an exception.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.bug_report import leave_bug_report
from tessera.backend.checked import Verification, check
from tessera.backend.explicit_casts import as_written
from tessera.backend.inductor import compile_program
from tessera.backend.loops.captured import with_loops
from tessera.backend.mistraced import why_mistraced
from tessera.backend.own_random_numbers import OwnRandomNumbers
from tessera.backend.passes.lower_precision import LOWER_PRECISION
from tessera.backend.passes.write_out_complex import WRITE_OUT_COMPLEX, has_complex
from tessera.backend.python_numbers import with_python_numbers
from tessera.backend.rewrite import Captured, Pass
from tessera.backend.runner import run_before_autograd, run_pipeline
from tessera.backend.second_derivatives import twice_differentiable
from tessera.backend.tuning import made_up
from tessera.backend.unsafe_graphs import refused_by_autograd, shares_memory, why_unsafe, writes_in_place
from tessera.debug.shadow import Shadow
from tessera.program import (
    PassRecord,
    Phase,
    Precision,
    Program,
    Report,
    Role,
    StepDown,
    Value,
    copy_graph,
)
from tessera.random.eager_mode import drawing
from tessera.random.source import Source

Backend = Callable[[fx.GraphModule, Sequence[Any]], Callable[..., Any]]


_AS_IT_IS = Precision()


def tessera(graph_module: fx.GraphModule, inputs: Sequence[Any], **_: Any) -> Callable[..., Any]:
    """What ``torch.compile(model, backend="tessera")`` calls."""
    torch_internals.guard_aliases()
    torch_internals.guard_absences()
    torch_internals.guard_orders()
    return compile_pieces(Report("torch.compile graph"))(graph_module, inputs)


def compile_pieces(
    report: Report,
    precision: Precision = _AS_IT_IS,
    own_passes: Sequence[Pass] = (),
    tune: float | None = None,
    verify: Shadow | None = None,
    *,
    stabilise: bool = True,
    random: Source = "torch",
) -> Backend:
    """A torch.compile backend that writes what it does into ``report``.

    Products are lowered to ``precision``, and complex numbers written out, before forward and backward are parted, so
    that what is kept between them is low and real too. ``own_passes`` are the user's, which run over each piece.
    ``tune`` is how many seconds other ways to compile a piece may be tried, ``stabilise`` whether unstable expressions
    become stable ones, ``random`` where random operators draw from. ``verify`` has every piece checked.
    """
    lowered: list[tuple[list[PassRecord], list[str]]] = []  # of a graph whose first piece is not compiled yet
    numbers, eagerly = OwnRandomNumbers(random), functools.partial(_drawing_from, random, report)

    def lower(joint: fx.GraphModule) -> None:
        notes = numbers.notes(joint.graph)
        for node in joint.graph.nodes:
            node.meta["phase"] = Phase.BACKWARD if torch_internals.joint_metadata_is_backward(node) else Phase.FORWARD
        program = _program(copy_graph(joint), f"graph of {report.subject}")
        program.precision = precision
        lowered.append((run_pipeline(program, [WRITE_OUT_COMPLEX, LOWER_PRECISION]), program.notes + notes))
        joint.graph = program.graph

    def compile_one(
        piece: fx.GraphModule, kind: str, inductor: torch_internals.PieceCompiler
    ) -> Callable[[list[Any]], Sequence[Any]]:
        program = _program(piece, f"{kind} of {report.subject}")
        try:
            if tune is not None:
                program.examples = made_up(program)
            executable = compile_program(
                program, inductor=inductor, own_passes=own_passes, tune=tune, keep_original=verify is not None
            )
        except Exception as error:  # whatever Inductor or the C++ compiler raises, the user's code still runs
            report.add(StepDown("eager", f"{program.name}: {torch_internals.compiler_reason(error)}"))
            return _eagerly(piece)
        for records, notes in lowered:
            executable.compilation.passes[:0] = records
            executable.compilation.notes[:0] = notes
        lowered.clear()
        report.add(executable.compilation)
        if verify is not None:
            check(executable, Verification(verify, report, own_passes, precision))
        return executable.run

    def backend(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        try:
            reason = why_mistraced(graph_module) or refused_by_autograd(graph_module, inputs)
            if not reason:
                return with_python_numbers(graph_module, lambda graph: compile_graph(graph, inputs))
        except Exception as error:  # Dynamo would run the frame as it is and tell nobody
            return as_it_is(graph_module, error)
        report.add(StepDown("eager", reason))
        raise torch_internals.leave_alone()

    def compile_graph(graph_module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        looping = with_loops(graph_module)
        if reason := why_unsafe(looping, inputs):
            report.add(StepDown("eager", reason))
            return eagerly(graph_module)
        captured = Captured(report.subject, looping, inputs, stabilise=stabilise)
        whole = lower if precision.changes_something or has_complex(looping) or numbers.decompositions else None
        lowered[:] = [(run_before_autograd(captured), captured.notes)]
        try:
            compiled = torch_internals.compile_graph_pieces(
                copy_graph(captured.graph_module),
                inputs,
                as_written(looping, compile_one),
                whole,
                numbers.decompositions,
            )
        except Exception as error:  # whatever AOTAutograd or Inductor makes of what was rewritten
            leave_bug_report("compiler", report.subject, error, {"as captured": captured.graph_module.graph})
            lowered.clear()
            numbers.forget()
            with torch_internals.without_patterns():
                compiled = torch_internals.compile_graph_pieces(
                    copy_graph(looping), inputs, as_written(looping, compile_one), whole, numbers.decompositions
                )
        return _as_eager(compiled, eagerly(graph_module), graph_module, inputs)

    def as_it_is(graph_module: fx.GraphModule, error: Exception) -> Callable[..., Any]:
        leave_bug_report("compiler", report.subject, error, {"as captured": graph_module.graph})
        report.add(StepDown("eager", torch_internals.compiler_reason(error)))
        lowered.clear()
        return eagerly(graph_module)

    return backend


def _drawing_from(source: Source, report: Report, graph_module: fx.GraphModule) -> Callable[..., Any]:
    """A graph of Dynamo's that is run as it is, with the random numbers of compiled code."""
    if source == "torch":
        return graph_module.forward

    def call(*values: Any) -> Any:
        with drawing(source, lambda said: report.add(StepDown("torch's random numbers", said))):
            return graph_module.forward(*values)

    return call


def _as_eager(
    compiled: Callable[..., Any], plain: Callable[..., Any], graph_module: fx.GraphModule, inputs: Sequence[Any]
) -> Callable[..., Any]:
    """What AOTAutograd made, where it would show that it is not what it was given."""
    twice = twice_differentiable(compiled, plain, graph_module)
    return _unless_memory_is_shared(twice, plain, graph_module, inputs)


def _unless_memory_is_shared(
    compiled: Callable[..., Any], plain: Callable[..., Any], graph_module: fx.GraphModule, inputs: Sequence[Any]
) -> Callable[..., Any]:
    """Nothing guards that what a graph writes to shares no memory with other arguments, as when it was compiled."""
    names = [node.name for node in graph_module.graph.find_nodes(op="placeholder")]
    given = [
        i
        for i, name in enumerate(names)
        if isinstance(inputs[i], torch.Tensor) and not _STATE.search(name)  # state of modules stays where it is
    ]
    if len(given) < 2 or not writes_in_place(graph_module):
        return compiled

    def run(*values: Any) -> Any:
        if shares_memory([values[i] for i in given]):
            return plain(*values)
        return compiled(*values)

    return run


_STATE = re.compile(r"_(parameters|buffers)_")


def _eagerly(graph_module: fx.GraphModule) -> Callable[[list[Any]], Sequence[Any]]:
    """An ATen graph run one operation at a time, with the calling convention of compiled code."""

    def call(inputs: list[Any]) -> Sequence[Any]:
        values = list(inputs)
        inputs.clear()
        results: Sequence[Any] = graph_module(*values)
        return results

    return call


def _program(piece: fx.GraphModule, name: str) -> Program:
    inputs = [Value(node.name, Role.BATCH) for node in piece.graph.find_nodes(op="placeholder")]
    (returned,) = piece.graph.output_node().args
    return Program(name, piece, inputs, [Value(f"output {i}", Role.RESULT) for i in range(len(returned))])  # type: ignore[arg-type]
