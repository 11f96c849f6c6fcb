"""The lower rungs of a training step: forward and backward as graphs where they can be, the rest as PyTorch runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.capture import gradients as arithmetic
from tessera.capture.closure import Rollback, ascends, needs_closure
from tessera.capture.float16 import loss_has_float16_gradients
from tessera.capture.training_job import TrainingJob
from tessera.program import StepDown
from tessera.random.eager_mode import drawing

Forward = Callable[..., tuple[torch.Tensor, Sequence[torch.Tensor]]]


class Snapshot:
    """What a forward changes besides the weights: buffers, the random stream, the micro-batches and the loss scale."""

    def __init__(self, job: TrainingJob) -> None:
        self._job, self._micro_step, self._sums = job, job.micro_step, dict(job.accumulators)
        self._buffers = [(buffer, buffer.clone()) for buffer in job.module.buffers()]
        self._random = torch.get_rng_state()
        self._scale = [tensor.clone() for tensor in job.scaling.tensors] if job.scaling else []

    def restore(self) -> None:
        self._job.micro_step = self._micro_step
        self._job.accumulators.clear()
        self._job.accumulators.update(self._sums)
        torch.set_rng_state(self._random)
        with torch.no_grad():
            for buffer, before in self._buffers:
                buffer.copy_(before)
        for tensor, saved in zip(self._job.scaling.tensors if self._job.scaling else (), self._scale, strict=True):
            tensor.copy_(saved)


def run_in_pieces(
    job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    """One training step: ``forward``, then backward, clipping and update. Returns loss and metrics, detached."""
    if any(needs_closure(optimizer) for optimizer in job.optimizers):
        return _step_with_closure(job, forward, arguments)
    options = job.options
    found = Snapshot(job) if options.check_finite else None
    _forget_gradients(job)
    loss, metrics = _forward_backward(job, forward, arguments)
    parameters = _parameters(job)
    for p in parameters if options.accumulate > 1 else ():
        if p.grad is not None:
            job.accumulators[p] = job.accumulators[p] + p.grad if p in job.accumulators else p.grad
        p.grad = job.accumulators.get(p)
    job.micro_step = (job.micro_step + 1) % options.accumulate
    final = job.micro_step == 0
    job.extra = {}
    if final:
        job.accumulators.clear()
        _unscale_and_clip(job, parameters)
    kept = _is_to_be_kept(job, loss, parameters, final=final)
    job.updated = kept and final
    for optimizer in job.optimizers if job.updated else ():
        optimizer.step()
    if found is not None and not kept and not job.forgives:
        found.restore()
    _forget_gradients(job)
    return loss.detach(), [m.detach() for m in metrics]


def _unscale_and_clip(job: TrainingJob, parameters: Sequence[torch.nn.Parameter]) -> None:
    limit, scaling = job.options.clip_norm, job.scales
    if scaling is None:
        if limit is not None:
            job.extra["grad_norm"] = torch.nn.utils.clip_grad_norm_(parameters, limit)
        return
    trained = [(p, p.grad) for p in parameters if p.grad is not None]
    gradients = arithmetic.unscale(scaling.scale, *(gradient for _, gradient in trained))
    if limit is not None and gradients:
        job.extra["grad_norm"], *gradients = arithmetic.clip(limit, *gradients)
    for (p, _), gradient in zip(trained, gradients, strict=True):
        p.grad = gradient.to(p.dtype)


def _is_to_be_kept(
    job: TrainingJob, loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter], *, final: bool
) -> bool:
    """Whether all is finite, as far as anybody asks."""
    raises = job.options.check_finite and not job.forgives
    if not raises and not (final and job.scales):
        return True
    finite = _is_finite(job, loss, parameters)
    _take_note(job, finite)
    return bool(finite)


def _is_finite(job: TrainingJob, loss: torch.Tensor, parameters: Sequence[torch.nn.Parameter]) -> torch.Tensor:
    gradients = [p.grad for p in parameters if p.grad is not None]
    return arithmetic.all_finite([loss, *gradients] if job.options.check_finite else gradients)


def _take_note(job: TrainingJob, finite: torch.Tensor) -> None:
    """Tell the caller whether the step was finite, and let a scale in force follow."""
    checks, scaling = job.options.check_finite, job.scales
    if scaling is not None and (job.forgives or not checks):
        (good,) = arithmetic.tolerated(finite, scaling.scale)
        scaling.follow(finite)
    else:
        good = finite
    if checks:
        job.extra["finite"] = good


class _Overflow(Exception):
    """Ends the evaluations of an optimizer: the loss or a gradient is not finite."""


def _step_with_closure(
    job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    first: list[tuple[torch.Tensor, Sequence[torch.Tensor]]] = []
    parameters = _parameters(job)
    found = Snapshot(job) if job.options.check_finite else None
    before = Rollback(job.optimizers) if job.scales else None
    finite = torch.tensor(True)
    job.extra = {}

    def closure() -> torch.Tensor:
        nonlocal before, finite
        _forget_gradients(job)
        loss, metrics = _forward_backward(job, forward, arguments)
        if job.scales is not None and before is None:  # it came into force in this forward, the first
            before = Rollback(job.optimizers)
        _unscale_and_clip(job, parameters)
        first.append((loss.detach(), [m.detach() for m in metrics]))
        # Without a scale, a search along a line may go too far and come back; the first evaluation may not.
        searches = not all(ascends(optimizer) for optimizer in job.optimizers)
        if job.scales is not None or (job.options.check_finite and not (searches and len(first) > 1)):
            finite = _is_finite(job, loss, parameters)
            if not finite:
                raise _Overflow
        return loss

    try:
        for optimizer in job.optimizers:
            optimizer.step(closure)  # type: ignore[arg-type]  # torch annotates a float and takes a tensor
    except _Overflow:
        if before is not None:
            before.restore()
        if found is not None and not job.forgives:
            found.restore()
    _take_note(job, finite)
    job.updated = bool(finite)
    _forget_gradients(job)
    return first[0]


def _forward_backward(
    job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    with drawing(job.random, lambda said: _note(job, said), covers_backward=True):
        return _drawn(job, forward, arguments)


def _note(job: TrainingJob, said: str) -> None:
    if all(entry.reason != said for entry in job.report.step_downs):
        job.report.add(StepDown("torch's random numbers", said))


def _drawn(
    job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    loss, metrics = forward(*arguments)
    if job.waits_for_float16 and loss_has_float16_gradients(loss):
        job.meet_float16()
    accumulate = job.options.accumulate
    if job.scales is not None:
        job.scales.move_to(loss.device)
        loss.backward(arithmetic.tangent(job.scales.scale, accumulate, loss.dtype).expand_as(loss))
    else:
        (loss / accumulate if accumulate > 1 else loss).backward()
    return loss, metrics


def _parameters(job: TrainingJob) -> list[torch.nn.Parameter]:
    return [p for optimizer in job.optimizers for group in optimizer.param_groups for p in group["params"]]


def _forget_gradients(job: TrainingJob) -> None:
    for optimizer in job.optimizers:
        optimizer.zero_grad(set_to_none=True)
