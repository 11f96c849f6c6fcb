"""Training steps under ``verify="shadow"``: the step as one Program, and the step as PyTorch runs it, compared.

The compiled step is taken back, the plain one stays: weights, buffers, optimizer state and the random stream are
those of plain PyTorch. The first call is captured, and its Program checks itself; from the second on this is on top.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tessera.backend.checked import Verification
from tessera.capture.pieces import run_in_pieces
from tessera.capture.shadow import agree, parting, was_stabilised, worst
from tessera.debug.doubled import Doubled
from tessera.debug.shadow import Schedule, Shadow
from tessera.program import Mismatch

if TYPE_CHECKING:
    from tessera.capture.train_step import TrainStep

Result = tuple[torch.Tensor, Sequence[torch.Tensor]]


class ShadowedSteps:
    """The verified calls of one training step."""

    def __init__(self, step: TrainStep, shadow: Shadow) -> None:
        self._step, self._schedule = step, Schedule(shadow)
        self._verification = Verification(shadow, step.report, (), step.precision)
        self._verifies = self._failed = False

    def due(self) -> bool:
        """Whether the call that is made is to be verified."""
        return not self._verifies and (self._failed or self._schedule.due())

    def verified(self, forward: Callable[..., Any], batch: Any, named: Any, arguments: tuple[Any, ...]) -> Result:
        """Take the step twice and keep the plain one; after a disagreement that one alone is taken."""
        job, step = self._step.job, self._step
        if self._failed:
            return run_in_pieces(job, forward, arguments)
        known = len(step.report.mismatches)
        compiled = self._taken_back(lambda: self._again(batch, named), contextlib.nullcontext)
        if was_stabilised(step.report) and len(step.report.mismatches) == known:
            return self._again(batch, named)
        plain = self._taken_back(lambda: run_in_pieces(job, forward, arguments), contextlib.nullcontext)
        if len(step.report.mismatches) > known:  # the check of the Program was faster
            self._failed = True
        elif not agree(plain, compiled):
            self._judge(plain, compiled, forward, arguments)
        return run_in_pieces(job, forward, arguments)

    def _again(self, batch: Any, named: Any) -> Result:
        self._verifies = True
        try:
            return self._step.compiled_step(batch, named)
        finally:
            self._verifies = False

    def _taken_back(self, take: Callable[[], Result], mode: Callable[[], Any], of: Any = None) -> list[torch.Tensor]:
        """What a step returns and leaves behind, after which it is as if it had not been."""
        from tessera.capture.step_kept import step_kept

        with step_kept(self._step), mode():
            loss, metrics = take()
            left = [*self._step.job.module.parameters(), *self._step.job.module.buffers()]
            left += [
                value
                for optimizer in self._step.job.optimizers
                for state in optimizer.state.values()
                for value in state.values()
                if isinstance(value, torch.Tensor)
            ]
            return [(of or _plainly)(tensor).detach().clone() for tensor in [loss, *metrics, *left]]

    def _judge(
        self, plain: list[Any], compiled: list[Any], forward: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        job, doubled = self._step.job, Doubled()
        exact = self._taken_back(lambda: run_in_pieces(job, forward, arguments), lambda: doubled, doubled.of)
        found = worst(plain, compiled, exact, [], self._verification.eps)
        if found is None:
            return
        self._failed = True
        name = self._step.report.subject
        said = f"{found} where rounding explains {found.allowed:.3g}; the capture makes it so"
        parted = parting(forward, arguments, {})
        if parted is None or parted.first is None:
            self._verification.disagree(Mismatch(name, name, said))
        else:
            operation = parted.first
            said = f"{operation.place.expression}: {said}"
            self._verification.disagree(Mismatch(name, operation.name, said, operation.place.where))


def _plainly(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
