"""The lower rungs of a training step: forward and backward as graphs where they can be, the rest as PyTorch runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.capture.closure import needs_closure
from tessera.capture.whole_step import TrainingJob

Forward = Callable[..., tuple[torch.Tensor, Sequence[torch.Tensor]]]


class Snapshot:
    """What a forward changes besides the weights: buffers, the random stream and the count of micro-batches."""

    def __init__(self, job: TrainingJob) -> None:
        self._job, self._micro_step, self._sums = job, job.micro_step, dict(job.accumulators)
        self._buffers = [(buffer, buffer.clone()) for buffer in job.module.buffers()]
        self._random = torch.get_rng_state()

    def restore(self) -> None:
        self._job.micro_step = self._micro_step
        self._job.accumulators.clear()
        self._job.accumulators.update(self._sums)
        torch.set_rng_state(self._random)
        with torch.no_grad():
            for buffer, before in self._buffers:
                buffer.copy_(before)


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
    job.extra = {}
    if job.micro_step == 0:
        job.accumulators.clear()
        if options.clip_norm is not None:
            job.extra["grad_norm"] = torch.nn.utils.clip_grad_norm_(parameters, options.clip_norm)
    if options.check_finite:
        job.extra["finite"] = _all_finite([loss, *(p.grad for p in parameters if p.grad is not None)])
    if found is not None and not job.extra["finite"]:
        found.restore()
    elif job.micro_step == 0:
        for optimizer in job.optimizers:
            optimizer.step()
    _forget_gradients(job)
    return loss.detach(), [m.detach() for m in metrics]


def _all_finite(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    dense = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    return torch.stack([torch.isfinite(t).all() for t in dense]).all()


def _step_with_closure(
    job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    first: list[tuple[torch.Tensor, Sequence[torch.Tensor]]] = []

    def closure() -> torch.Tensor:
        _forget_gradients(job)
        loss, metrics = _forward_backward(job, forward, arguments)
        if job.options.clip_norm is not None:
            job.extra = {"grad_norm": torch.nn.utils.clip_grad_norm_(_parameters(job), job.options.clip_norm)}
        first.append((loss.detach(), [m.detach() for m in metrics]))
        return loss

    for optimizer in job.optimizers:
        optimizer.step(closure)  # type: ignore[arg-type]  # torch annotates a float and takes a tensor
    _forget_gradients(job)
    return first[0]


def _forward_backward(
    job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    loss, metrics = forward(*arguments)
    (loss / job.options.accumulate if job.options.accumulate > 1 else loss).backward()
    return loss, metrics


def _parameters(job: TrainingJob) -> list[torch.nn.Parameter]:
    return [p for optimizer in job.optimizers for group in optimizer.param_groups for p in group["params"]]


def _forget_gradients(job: TrainingJob) -> None:
    for optimizer in job.optimizers:
        optimizer.zero_grad(set_to_none=True)
