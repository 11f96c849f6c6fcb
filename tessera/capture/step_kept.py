"""Puts a training step back to where it was: for whoever runs it only to see how it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tessera.capture.closure import Rollback
from tessera.capture.pieces import Snapshot
from tessera.capture.train_step import TrainStep


@contextmanager
def step_kept(step: TrainStep) -> Iterator[None]:
    """After the block weights, buffers, optimizer state, sums of gradients and the random stream are as before.

    Tensors stay the same objects as far as they were there before, so that what was captured stays valid. The state of
    an optimizer that has never stepped is taken away again; the next step then captures anew.
    """
    job = step.job
    rollback, snapshot, metrics = Rollback(job.optimizers), Snapshot(job), step.metrics
    sums = {parameter: total.detach().clone() for parameter, total in job.accumulators.items()}
    states = [(o, {p: (state, dict(state)) for p, state in o.state.items()}) for o in job.optimizers]
    with torch.random.fork_rng():
        try:
            yield
        finally:
            rollback.restore()
            snapshot.restore()
            for optimizer, before in states:
                for parameter, (state, objects) in before.items():
                    _put_back(state, objects, optimizer.state[parameter])
                    optimizer.state[parameter] = state
            for parameter, total in sums.items():
                job.accumulators[parameter].copy_(total)
            step.metrics = metrics


@torch.no_grad()
def _put_back(state: dict[str, Any], objects: dict[str, Any], values: dict[str, Any]) -> None:
    """Give ``state`` its own ``objects`` again, the tensors among them with their ``values`` of before."""
    state.clear()
    for name, value in values.items():
        one = objects[name]
        state[name] = one.copy_(value) if isinstance(one, torch.Tensor) else value
