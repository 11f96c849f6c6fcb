"""``train_step``: a module, a loss and optimizers become one compiled call, and the ladder down when they cannot.

    1 whole step   forward, loss, backward, clipping and update are one Program
    2 pieces       forward and backward graphs through the same passes; clipping and update run eagerly
    3 eager        whatever piece cannot be captured even so runs as plain PyTorch (Dynamo leaves it alone)

Results and side effects are PyTorch's at every rung, and the Report names the line that caused each step down.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import fx

from tessera import torch_internals
from tessera.backend.device_precision import uses_float16
from tessera.backend.entry import compile_pieces
from tessera.backend.own_passes import resolve_passes
from tessera.backend.rewrite import Pass
from tessera.backend.tuning import resolve_tune
from tessera.capture.bound_step import CannotLoop, StaleProgram
from tessera.capture.closure import needs_closure
from tessera.capture.compile import plain_module
from tessera.capture.declared_dims import DeclaredDims
from tessera.capture.dispatch import Dispatch, only_captured
from tessera.capture.finite import not_finite_error
from tessera.capture.float16 import graph_has_float16_gradients
from tessera.capture.line_by_line import run_line_by_line
from tessera.capture.loss_scale import LossScale, Scaling, resolve_loss_scale
from tessera.capture.pieces import Snapshot, run_in_pieces
from tessera.capture.second_derivative import wants_second_derivative
from tessera.capture.shadowed_steps import ShadowedSteps
from tessera.capture.step_arguments import check_parts
from tessera.capture.step_down import CannotCapture, NeedsEagerStep, RunsEagerly, RunsEagerlyOnce, line_of_error
from tessera.capture.training_job import Loop, StepOptions, TrainingJob
from tessera.capture.unfit import refuse_given_twice
from tessera.capture.whole_step import WholeStep
from tessera.debug.active import SWITCH
from tessera.debug.shadow import Shadow, resolve_verify
from tessera.errors import (
    ArtefactError,
    BatchError,
    MemoryBudgetError,
    MismatchError,
    OptimizerError,
    SettingError,
    TesseraError,
)
from tessera.explain.door import explain
from tessera.nn.losses import check_scalar, own_loss, resolve_loss
from tessera.program import MemoryBudget, Precision, Report, StepDown, resolve_memory_budget, resolve_precision
from tessera.program.provenance import line_of_trace
from tessera.random.source import Source, resolve_random

if TYPE_CHECKING:
    from tessera.capture.loaded_program import LoadedProgram
    from tessera.capture.loaded_steps import LoadedSteps

_PATIENCE = 3  # failed captures after which the whole step is given up
Metric = Callable[[Any, Any], torch.Tensor]


def train_step(
    module: torch.nn.Module,
    loss: str | Callable[..., torch.Tensor] | None,
    optimizer: torch.optim.Optimizer | Sequence[torch.optim.Optimizer],
    *,
    targets: int = 1,
    clip_norm: float | None = None,
    accumulate: int = 1,
    metrics: Mapping[str, Metric] | None = None,
    check_finite: bool = False,
    loss_scale: str | float | LossScale | None = "auto",
    precision: str | Mapping[str, str] = "fp32",
    passes: Sequence[Pass] = (),
    memory_budget: str | float | None = None,
    tune: str | float | None = None,
    verify: str | Shadow | None = None,
    stabilise: bool = True,
    random: str = "torch",
) -> TrainStep:
    """A whole training step as one call: ``value = step(*inputs, *targets)``.

    Args:
        module: any ``torch.nn.Module``. Its parameters and buffers are updated in place.
        loss: a callable ``(prediction, *targets) -> 0-d tensor``, a name such as ``"cross_entropy"``, or None for a
            module that returns its own loss (a 0-d tensor, or an output with a ``loss``); the whole batch then goes
            to it.
        optimizer: any torch or Tessera optimizer over the module's parameters, or several over disjoint ones.
        targets: how many of the batch's last positional values go to the loss, the rest to the module: 2 for a loss
            ``(prediction, target, weight)``. Metrics get the first of them.
        clip_norm: scale gradients so that their global L2 norm is at most this.
        accumulate: average the gradients of this many calls for one update.
        metrics: name -> callable ``(prediction, target)``; values of the last call are in ``step.metrics``.
        check_finite: raise ``NonFiniteError``, leaving weights and state as they were, when the loss or a gradient is
            not finite; while a dynamic loss scale can still be lowered, to 1, the update is left out instead.
        loss_scale: gradients are computed of this multiple of the loss and divided by it again, for the small ones
            vanish in float16. ``"dynamic"`` is ``LossScale()``, which adapts it; a number stays; None scales nothing;
            ``"auto"`` is dynamic as soon as gradients pass through float16 and nothing before that (an
            ``autograd.Function`` that hides it and is not captured counts as nothing). A gradient that is not finite
            then leaves out the whole update: no parameter, no state, no count of steps changes.
        precision: of the operands of matrix products, attention and convolutions that are float32: ``"fp32"`` leaves
            them, ``"bf16"``, ``"fp16"``, ``"tf32"`` and ``"fp8"`` lower them, to the next where the device has none;
            ``"auto"`` takes what pays on the device and bears comparison with fp32 in the first step. Parameters, sums,
            norms, losses and updates stay float32. A dict has rules by the names of layers, ``*`` for one part of a
            name: ``{"default": "auto", "head": "fp32"}``; the last one that fits holds. What runs eagerly stays as it
            is.
        passes: of your own, ``tessera.Pass``, which run behind Tessera's over every Program. One that raises or breaks
            the Program is left out; the Report says why.
        memory_budget: what the step may take of memory; activations that there is no room for are computed again in
            the backward. A size, ``"24GiB"``, is for all that the step needs: parameters, optimizer state, batch and
            what it allocates. A number in (0, 1] is a part of what it allocates at its peak without a budget.
            ``"auto"`` is what is free when the step is compiled. None keeps every activation. A step that cannot be
            one Program has no budget, and the Report says so.
        tune: how long other ways to compile a whole step may be tried, ``"30s"`` or a number of seconds, each measured
            with the first batch. The fastest is kept and remembered; the Report says what was tried.
        verify: ``"shadow"`` computes the first steps twice, compiled and as plain PyTorch from the same state, and
            later one in a thousand, as in ``tessera.compile``.
        stabilise: expressions that are wrong in floating point are computed in a stable form, value and gradient:
            ``log(softmax(x))``, ``sqrt(sum(x**2))`` at 0, ``mean(x**2) - mean(x)**2`` and their like, in any spelling.
            The Report names each. An ``eps`` of yours and compensated arithmetic stay. False leaves all as it is.
        random: ``"tessera"`` has dropout and torch's other random functions draw from Tessera's counter-based numbers,
            as in ``tessera.compile``; the numbers of ``"torch"`` are PyTorch's.

    Returns:
        The step. Calling it returns the loss before the update, a detached 0-d tensor.

    Raises:
        OptimizerError: an optimizer belongs to other parameters, or two have one in common; or one that evaluates the
            loss itself was given with ``accumulate``.
        SettingError: ``accumulate`` or ``targets`` is less than 1, ``clip_norm`` is not above 0, there are metrics or
            targets and no loss, there is no such ``loss_scale``, ``precision``, ``memory_budget``, ``random`` or
            layer, or ``passes`` holds no passes.
        MemoryBudgetError: when it is called: nothing keeps the budget.
        MismatchError: when it is called, under ``verify=Shadow(on_mismatch="raise")``: compiled and plain disagree.

    References:
        Micikevicius et al., Mixed precision training, 2018, arXiv:1710.03740.
        Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013, arXiv:1211.5063.
    """
    optimizers = check_parts(module, loss, optimizer)
    if loss is None and metrics:
        raise SettingError(
            f"loss=None was passed with the metrics {', '.join(metrics)}.",
            "A metric compares the prediction with the target; a module with its own loss takes the whole batch.",
            "Pass the loss as a function (prediction, target), or leave the metrics out.",
        )
    if targets < 1 or (loss is None and targets > 1):
        raise SettingError(
            f"targets={targets} was passed{' with loss=None' if loss is None else ''}.",
            "It is how many of the batch's last values go to the loss, at least 1; without a loss there are none.",
            "Write targets=1 for a loss (prediction, target), and leave it out for a module with its own loss.",
        )
    if clip_norm is not None and not (isinstance(clip_norm, Real) and clip_norm > 0):
        raise SettingError(
            f"clip_norm={clip_norm!r} was passed.",
            "It is the largest norm that the gradients may have together, a number above 0.",
            "Write for example clip_norm=1.0, or leave it out for gradients as they are.",
        )
    if accumulate < 1:
        raise SettingError(
            f"accumulate={accumulate} was passed.",
            "It is the number of calls whose gradients are averaged, at least 1.",
            "Write accumulate=1 for an update at every call.",
        )
    for each in optimizers if accumulate > 1 else ():
        if needs_closure(each):
            raise OptimizerError(
                f"accumulate={accumulate} was passed with {type(each).__name__}.",
                "It evaluates the loss of one batch several times in a step, and has no gradients of several batches.",
                "Write accumulate=1, and join the batches into one.",
            )
    module = plain_module(module)
    asked = resolve_precision(precision)
    asked.check_layers(module)
    options = StepOptions(clip_norm, accumulate, check_finite)
    function, scaling = None if loss is None else resolve_loss(loss), resolve_loss_scale(loss_scale)
    return TrainStep(
        module,
        function,
        0 if loss is None else targets,
        optimizers,
        options,
        dict(metrics or {}),
        scaling,
        asked,
        resolve_passes(passes),
        resolve_memory_budget(memory_budget),
        resolve_tune(tune),
        resolve_verify(verify),
        stabilise,
        resolve_random(random),
    )


class TrainStep:
    """See ``train_step``.

    ``report`` tells what was compiled and why anything was not, ``metrics`` the last values, ``precision`` what was
    asked of products. ``save`` writes what was compiled into a file, for ``tessera.load`` in another process.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        loss: Callable[..., torch.Tensor] | None,
        targets: int,
        optimizers: list[torch.optim.Optimizer],
        options: StepOptions,
        metrics: dict[str, Metric],
        scaling: Scaling | None,
        precision: Precision,
        own_passes: Sequence[Pass] = (),
        memory_budget: MemoryBudget | None = None,
        tune: float | None = None,
        verify: Shadow | None = None,
        stabilise: bool = True,
        random: Source = "torch",
    ) -> None:
        name = f"training step of {type(module).__name__}"
        self.report = Report(name)
        self.metrics: dict[str, torch.Tensor] = {}
        self.precision = precision
        self._module, self._loss, self._targets = module, loss, targets
        self._metric_names, self._metrics = list(metrics), tuple(metrics.values())
        self._job = TrainingJob(name, module, optimizers, options, self.report, scaling, precision=precision)
        self._job.own_passes = own_passes
        self._job.memory_budget = memory_budget
        self._job.tune = tune
        self._job.verify = verify
        self._shadow = None if verify is None else ShadowedSteps(self, verify)
        self._job.stabilise, self._job.random = stabilise, random
        dims = DeclaredDims(self._job.module, self.report)

        def around(called: Any, *rest: Any) -> AbstractContextManager[None]:
            *_, inputs, targets, named = rest
            refuse_given_twice(called, inputs, named)
            return dims.as_symbols(inputs, named, targets)

        self._whole: Dispatch | LoadedSteps | None = Dispatch(
            _forward_and_loss,
            _bind,
            self._compile_whole,
            whole=True,
            data=3,
            around=around,
            report=self.report,
        )
        self._pieces: Dispatch | None = None
        self._compile_for_pieces = compile_pieces(
            self.report, precision, own_passes, verify=verify, stabilise=stabilise, random=random
        )
        self._plain = False
        self._failures = 0
        self._absent: Sequence[str] = ()

    def __call__(self, *batch: Any, **named: Any) -> torch.Tensor:
        if not torch.is_grad_enabled():
            with torch.enable_grad():
                return self(*batch, **named)
        job = self._job
        before = (job.micro_step, dict(job.accumulators)) if job.options.check_finite else None
        try:
            loss, metrics = self._run(batch, named)
        except Exception as error:
            explain(error, batch, named)
            raise
        extra = job.extra
        if metrics or extra:
            self.metrics = dict(zip(self._metric_names, metrics, strict=True))
            if "grad_norm" in extra:
                self.metrics["grad_norm"] = extra["grad_norm"]
        if before is not None and not extra.get("finite", True):
            if not job.forgives:
                job.micro_step, job.accumulators = before  # a micro-batch that is not finite does not count
            job.extra = {}
            raise not_finite_error(_forward_and_loss, self._arguments(batch, named), self._module, loss, job.scales)
        return loss

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write what was compiled so far into a file; ``tessera.load`` starts from it without tracing or compiling.

        Weights and state are not in it: a checkpoint brings them. It is written whole or not at all.

        Returns:
            The file's hash, ``"sha256:..."``: whoever gets the file on another machine passes it as ``trust``.

        Raises:
            ArtefactError: nothing was compiled yet, or the step does more than compute with tensors.
            OSError: the file cannot be written.
        """
        from tessera.capture.step_file import save_step

        given = self._module, self._loss, self._metrics
        return save_step(self._job, self._whole, given, self._targets, self._metric_names, Path(path))

    def begin_with(self, programs: Sequence[LoadedProgram], origin: str, absent: Sequence[str]) -> None:
        """Run Programs that were loaded from a file; only what none of them fits is captured.

        Args:
            origin: the file.
            absent: what the user did not pass, of ``loss`` and ``metrics``; then nothing can be captured.
        """
        from tessera.capture.loaded_steps import LoadedSteps

        otherwise = self._whole if isinstance(self._whole, Dispatch) and not absent else None
        names, self._absent = _forward_and_loss.__globals__, absent
        self._whole = LoadedSteps(programs, origin, self._job, names, absent, otherwise)

    def to_capture(self, *batch: Any, **named: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What is captured for a batch: forward and loss, as a function, and its arguments.

        Raises:
            BatchError: the batch has fewer values than the loss takes.
        """
        return _forward_and_loss, self._arguments(batch, named)

    @property
    def job(self) -> TrainingJob:
        """What the step is about, and what it keeps from call to call."""
        return self._job

    @property
    def loss_scale(self) -> float | None:
        """What the loss is multiplied by at present; None while nothing is scaled."""
        return None if self._job.scales is None else self._job.scales.scale.item()

    @property
    def skipped(self) -> int:
        """How many updates were left out because a scaled gradient was not finite."""
        return 0 if self._job.scales is None else int(self._job.scales.skipped)

    def state_dict(self) -> dict[str, Any]:
        """What the step keeps from call to call besides module and optimizers, as tensors, some in a dict of names.

        ``micro_step`` counts the micro-batches since the last update, ``sums`` are their gradients by the names of the
        parameters, ``loss_scale`` is there while the loss is scaled. The tensors are the step's own: copy them to keep.
        """
        return self._job.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state_dict`` was called, module and optimizers loaded likewise.

        Raises:
            ResumeError: the state is that of another module or of other options; nothing was changed.
        """
        self._job.load_state_dict(state)

    def run(self, *stacked: torch.Tensor) -> torch.Tensor | None:
        """Run many steps in one call, for batches that are in memory already.

        Args:
            stacked: what ``__call__`` takes, each tensor with one more leading dimension ``[steps, ...]``.

        Returns:
            The losses ``[steps]``, or None when this step has to be called once a batch: not captured yet for this
            shape, or its Program is not one C call. ``metrics`` are ``[steps]`` too. Fewer, or none at all, when
            ``check_finite`` stopped: the batch behind the last of them has changed nothing, and called with it alone
            the step raises.
        """
        if self._whole is None or SWITCH.mode() is not None or self._shadow is not None or not torch.is_grad_enabled():
            return None
        if not all(t.is_contiguous() for t in stacked):
            return None
        first = tuple(t[0] for t in stacked)
        arguments = self._arguments(first, {})
        captured = self._whole.pure(*arguments)
        if captured is None:
            return None
        self._job.loop = Loop(first, stacked)
        try:
            losses, metrics = captured(*arguments)
        except (CannotLoop, StaleProgram):
            return None
        finally:
            self._job.loop = None
        self.metrics = dict(zip(self._metric_names, metrics, strict=True))
        if "grad_norm" in self._job.extra:
            self.metrics["grad_norm"] = self._job.extra["grad_norm"]
        return losses

    def compiled_step(
        self, batch: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """One step on the highest rung there is, its loss and metrics; for whoever compares it with another."""
        return self._run(batch, named)

    def _run(self, batch: tuple[Any, ...], named: dict[str, Any]) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        arguments = self._arguments(batch, named)
        if (SWITCH.entered or self._shadow is not None) and (other := self._instead(arguments)) is not None:
            return other(batch, named, arguments)
        if self._whole is None:
            return self._below(arguments)
        try:
            return self._whole(*arguments)
        except StaleProgram:
            self._whole.forget()
            return self._run(batch, named)
        except CannotCapture as error:
            reason = error
        except (ArtefactError, MismatchError):
            raise
        except Exception as error:
            if (found := _cause(error)) is None:
                self._raise_as_eager(arguments, error)
            reason = found
        if not self._plain and (isinstance(reason, RunsEagerly) or wants_second_derivative(self._module, self._loss)):
            self._plain, self._whole = True, None
            self.report.add(StepDown("eager", reason.reason, reason.instead, reason.where))
            self.report.rung = "eager"
            return run_in_pieces(self._job, _forward_and_loss, arguments)
        # Whatever is wrong with this batch is raised below, and costs later batches nothing.
        once = isinstance(reason, NeedsEagerStep | RunsEagerlyOnce)
        result = run_in_pieces(self._job, _forward_and_loss, arguments) if once else self._below(arguments)
        self._step_down(reason)
        return result

    def _instead(self, arguments: tuple[Any, ...]) -> Callable[..., Any] | None:
        """What runs in place of compiled code: Python line by line in a ``debug_mode``, or both, to be compared."""
        if (debug := SWITCH.mode()) is not None and not self._absent:
            return lambda *_: run_line_by_line(debug, self._job, _forward_and_loss, arguments)
        if self._shadow is None or self._whole is None or not self._shadow.due():
            return None
        is_pure = self._whole.pure(*arguments) is not None
        return functools.partial(self._shadow.verified, _forward_and_loss) if is_pure else None

    def _below(self, arguments: tuple[Any, ...]) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        if self._plain:
            return run_in_pieces(self._job, _forward_and_loss, arguments)
        if self._pieces is None:
            self._pieces = Dispatch(_forward_and_loss, _bind, self._compile_piece, whole=False, report=self.report)
        return self._pieces_or_plain(self._pieces, arguments)

    def _raise_as_eager(self, arguments: tuple[Any, ...], error: Exception) -> NoReturn:
        """Raise what plain PyTorch raises for these arguments; ``error`` where it raises nothing."""
        found = Snapshot(self._job)
        try:
            _forward_and_loss(*arguments)
        finally:
            found.restore()
        raise error

    def _arguments(self, batch: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        inputs = len(batch) - self._targets
        if inputs < 0:
            raise BatchError(
                f"The step was called with {len(batch)} positional values.",
                f"The last {self._targets} go to the loss, the rest to the module.",
                "Write step(*inputs, *targets); only what goes to the module may be named.",
            )
        return self._module, self._loss, self._metrics, batch[:inputs], batch[inputs:], named

    def _compile_whole(self, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> WholeStep:
        step = WholeStep(self._job, graph_module, inputs)
        self.report.rung = "whole step in one Program"
        return step

    def _compile_piece(self, graph_module: fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        devices = {p.device for p in self._job.module.parameters()}
        lowered = any(uses_float16(self._job.precision, device) for device in devices)
        if lowered or graph_has_float16_gradients(graph_module):
            self._job.meet_float16()
        return self._compile_for_pieces(graph_module, inputs)

    def _step_down(self, reason: CannotCapture) -> None:
        """Give up the whole step: at once if it never worked, else after some failures."""
        if isinstance(reason, NeedsEagerStep) and not self._job.updated:
            return  # the optimizer did not step yet: a micro-batch before the last, or gradients that overflowed
        if isinstance(reason, (RunsEagerly, RunsEagerlyOnce)):
            self.report.add(StepDown("eager", reason.reason))
            return
        self._failures += 1
        captured = self._whole is not None and self._whole.captured
        if isinstance(reason, NeedsEagerStep) and self._failures < _PATIENCE:
            return
        self.report.add(StepDown("forward and backward in pieces", reason.reason, reason.instead, reason.where))
        if self._job.memory_budget is not None:
            said = f"memory_budget={self._job.memory_budget} is not kept: pieces have none"
            self.report.add(StepDown("no memory budget", said))
        if not captured or self._failures >= _PATIENCE:
            self._whole = None
            if not self._plain:
                self.report.rung = "forward and backward in pieces, update eager"

    def _pieces_or_plain(
        self, pieces: Dispatch, arguments: tuple[Any, ...]
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """In pieces; where that raises, as plain PyTorch, which raises the user's own error if there is one."""
        found = Snapshot(self._job)
        try:
            return run_in_pieces(self._job, pieces, arguments)
        except (RunsEagerly, RunsEagerlyOnce) as error:
            self._plain = isinstance(error, RunsEagerly)
            self._step_down(error)
            return run_in_pieces(self._job, _forward_and_loss, arguments)
        except TesseraError:
            raise
        except Exception as error:  # compiled code may fail where eager does not, double backward for one
            if not torch_internals.is_of_the_compiler(error):
                raise  # the user's own; what the forward did before it is done
            found.restore()
            result = run_in_pieces(self._job, _forward_and_loss, arguments)
            self._plain = True
            self.report.rung = "eager"
            self.report.add(StepDown("eager", torch_internals.compiler_reason(error), where=line_of_error(error)))
            return result


def _forward_and_loss(module: Any, loss: Any, metrics: Any, inputs: Any, targets: Any, named: Any) -> Any:
    """What Dynamo captures; a module with its own loss has the whole batch as its inputs."""
    only_captured()
    output = module(*inputs, **named)
    if loss is None:
        value = own_loss(output)
        check_scalar(value)
        return value, []
    value = loss(output, *targets)
    check_scalar(value)
    return value, [metric(output, targets[0]) for metric in metrics]


def _bind(module: Any, loss: Any, metrics: Any, inputs: Any, targets: Any, named: Any) -> dict[str, Any]:
    return locals()


def _cause(error: Exception) -> CannotCapture | None:
    """Why a capture failed, or None when the error is not the capture's."""
    inner = torch_internals.backend_failure(error)
    if isinstance(inner, CannotCapture):
        return inner
    if isinstance(inner, MemoryBudgetError):
        raise inner from None
    if inner is not None:
        return CannotCapture(torch_internals.compiler_reason(inner), where=line_of_error(inner))
    if isinstance(error, torch_internals.capture_errors()):
        stack = torch_internals.user_stack(error)
        return CannotCapture(torch_internals.capture_reason(error), _INSTEAD, line_of_trace(stack))
    if torch_internals.is_of_the_compiler(error) and not torch_internals.is_index_error(error):
        return CannotCapture(torch_internals.compiler_reason(error), _INSTEAD, line_of_error(error))
    return None


_INSTEAD = "Move this out of the forward or the loss, or write it with tensor operations (torch.where, torch.cond)."
