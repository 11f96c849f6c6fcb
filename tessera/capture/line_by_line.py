"""A training step inside ``tessera.debug_mode()``: run as PyTorch runs it, and taken back if it stops halfway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.backend.eager_precision import EagerPrecision
from tessera.capture.closure import Rollback
from tessera.capture.pieces import Forward, Snapshot, run_in_pieces
from tessera.capture.training_job import TrainingJob
from tessera.debug.mode import DebugMode
from tessera.errors import NonFiniteValueError
from tessera.program import Precision


def run_line_by_line(
    debug: DebugMode, job: TrainingJob, forward: Forward, arguments: tuple[Any, ...]
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    """One training step. Returns loss and metrics, detached.

    Raises:
        NonFiniteValueError: weights, buffers, optimizer state and the random stream are as before the step.
    """
    with torch_internals.outside_of_modes():
        before, weights = Snapshot(job), Rollback(job.optimizers)
    try:
        with debug.forgiving(lambda: _can_lower(job)), debug.computing(eagerly(job.precision)):
            return run_in_pieces(job, forward, arguments)
    except NonFiniteValueError:
        with torch_internals.outside_of_modes():
            weights.restore()
            before.restore()
            for optimizer in job.optimizers:
                optimizer.zero_grad(set_to_none=True)
        raise


def eagerly(precision: Precision) -> EagerPrecision | None:
    """How operations compute in ``precision``; None: as they always do."""
    return EagerPrecision(precision) if precision.changes_something else None


def _can_lower(job: TrainingJob) -> bool:
    """Whether gradients that overflow lower the loss scale, and are no error."""
    return job.forgives and job.scales is not None and job.scales.scale.item() > 1
