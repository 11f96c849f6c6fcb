"""``emit``: a training step, a module or a function becomes the Triton kernels of a GPU that need not be here."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.loops.captured import with_loops
from tessera.backend.rewrite import Captured
from tessera.backend.runner import run_before_autograd
from tessera.backend.targets.check import check_program
from tessera.backend.targets.device import find_device
from tessera.backend.targets.emission import Emission
from tessera.backend.targets.emit import emit_programs
from tessera.capture.bound_update import parameters_of
from tessera.capture.step_down import CannotCapture, NeedsEagerStep, line_of_error
from tessera.capture.step_program import StepProgram
from tessera.capture.train_step import TrainStep
from tessera.capture.update import record_update
from tessera.capture.whole_step import WholeStep
from tessera.errors import ExportError
from tessera.program import Program, Role, Value, copy_graph
from tessera.program.provenance import line_of_trace


def emit(function: Callable[..., Any], *args: Any, target: str, **named: Any) -> Emission:
    """Compile for a GPU that need not be here, and say what its kernels need and cost.

    The program is captured on the CPU with ``args`` as examples; nothing is run on the GPU, and a training step
    updates nothing.

    Args:
        function: what ``tessera.train_step`` returned, or a module or function for inference.
        args: a batch, or the function's arguments, on the CPU; ``named`` likewise.
        target: ``"a100"``, ``"l4"``, ``"h100"``, ``"h200"`` or ``"b200"``.

    Raises:
        SettingError: there is no such target.
        MissingDependencyError: Triton is not installed.
        ExportError: it cannot be captured whole, or holds an operation that no GPU can run.

    Example:
        >>> step = tessera.train_step(net, "cross_entropy", torch.optim.AdamW(net.parameters()))
        >>> print(emit(step, x, labels, target="h200"))
    """
    find_device(target)  # before anything is captured
    return emit_programs([captured(function, *args, **named)[0]], target)[0]


def check_emitted(function: Callable[..., Any], *args: Any, target: str, **named: Any) -> float:
    """Run what would be emitted in Triton's interpreter, on the CPU, beside the same program run eagerly.

    It is slow: for small batches. Arguments and errors are those of ``emit``.

    Returns:
        The largest difference of a result or an updated tensor, relative to its largest element.

    Raises:
        ExportError: the difference is more than rounding explains; the tensor is named.
    """
    return check_program(*captured(function, *args, **named), target)


def captured(function: Callable[..., Any], *args: Any, **named: Any) -> tuple[Program, list[torch.Tensor]]:
    """What would be compiled for these arguments, before any pass, and the values of its inputs.

    Raises:
        ExportError: it cannot be captured whole.
    """
    if not isinstance(function, TrainStep):
        name = getattr(function, "__qualname__", type(function).__name__)
        with torch.no_grad():
            return _captured(name, _called, (function, args, named), functools.partial(_inference, name))
    forward_and_loss, arguments = function.to_capture(*args, **named)
    with torch.enable_grad():
        return _captured(function.job.name, forward_and_loss, arguments, functools.partial(_Recording, function.job))


class _Captured(Exception):
    """Ends a capture: there is a Program now, and these are the values of its inputs."""

    def __init__(self, program: Program, values: Sequence[Any]) -> None:
        super().__init__(program.name)
        self.program, self.values = program, values


class _Recording(WholeStep):
    """A whole step that ends where it would be compiled; what it made of the optimizers' state is taken back."""

    _abroad = True

    def _compile(self, started: float) -> NoReturn:
        job, inputs = self.job, self._inputs
        updates = [record_update(o, parameters_of(o, self.trained)) for o in job.optimizers]
        values = [*inputs, *(slot.tensor for update in updates for slot in update.slots)]
        values += [t for update in updates for t in update.hyper_parameters.tensors]
        values += job.scales.tensors if job.scales is not None else ()
        values += [torch.zeros_like(p) for p in self.trained] if job.options.accumulate > 1 else ()
        raise _Captured(StepProgram(job, self._joint, inputs, updates, final=True).program, values)


def _inference(name: str, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> NoReturn:
    def end(piece: fx.GraphModule, *_: Any) -> NoReturn:
        (returned,) = piece.graph.output_node().args
        named = [Value(node.name, Role.BATCH) for node in piece.graph.find_nodes(op="placeholder")]
        results = [Value(f"output {i}", Role.RESULT) for i in range(len(returned))]  # type: ignore[arg-type]
        raise _Captured(Program(f"forward of {name}", copy_graph(piece), named, results), inputs)

    captured = Captured(name, with_loops(graph_module), inputs, abroad=True)
    run_before_autograd(captured)
    torch_internals.compile_graph_pieces(copy_graph(captured.graph_module), inputs, end)
    raise AssertionError


def _called(function: Callable[..., Any], args: Any, named: Any) -> Any:
    return function(*args, **named)


def _captured(
    name: str, function: Callable[..., Any], arguments: Sequence[Any], backend: Any
) -> tuple[Program, list[torch.Tensor]]:
    code = function.__code__.replace()  # a code object of its own: Dynamo keeps captures for each
    own = types.FunctionType(code, function.__globals__, function.__name__)
    try:
        with torch_internals.capturing(whole=True):
            torch.compile(own, backend=backend, fullgraph=True, dynamic=False)(*arguments)
    except Exception as error:
        inner = torch_internals.backend_failure(error) or error
        if isinstance(inner, _Captured):
            return inner.program, [value.detach() for value in inner.values]
        raise _refusal(name, inner) from error
    finally:
        torch_internals.forget_captures(code)
    raise ExportError(
        f"{name} was passed, which computes nothing with tensors.",
        "What is emitted are the kernels of a computation.",
        "Pass a training step, a module or a function of tensors, and a batch for it.",
    )


def _refusal(name: str, error: BaseException) -> ExportError:
    """Why there is no Program."""
    if isinstance(error, CannotCapture):
        reason, instead, where = error.reason, error.instead, error.where
    elif isinstance(error, torch_internals.capture_errors()):
        where = line_of_trace(torch_internals.user_stack(error))
        reason, instead = torch_internals.capture_reason(error), ""
    else:
        reason, instead, where = torch_internals.compiler_reason(error), "", line_of_error(error)
    if isinstance(error, NeedsEagerStep):
        instead = "Call the step once on the CPU before: the optimizer makes its state then."
    return ExportError(
        f"{name} cannot be captured whole: {reason}.",
        "What is emitted is one Program.",
        instead or "Move what stands in the way out of the forward or the loss, or write it with tensor operations.",
        where,
    )
