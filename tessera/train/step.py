"""The training step as the train floor sees it, and the one place where several steps become one program call."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch

from tessera.program import Report
from tessera.train.batches import Stack


class Step(Protocol):
    """One whole training step; see ``tessera.train_step``."""

    metrics: dict[str, torch.Tensor]
    report: Report

    def __call__(self, *batch: torch.Tensor) -> torch.Tensor:
        """Train on ``inputs..., target`` and return the loss, 0-d and detached."""


@runtime_checkable
class Looping(Protocol):
    """A step that can run many batches in one program call."""

    def run(self, *stacked: torch.Tensor) -> torch.Tensor | None:
        """Train on ``inputs..., target``, each ``[k, batch, ...]``, one batch after the other.

        Returns:
            The k losses ``[k]``, the values of ``metrics`` being ``[k]`` as well. A loss that is not finite stands where
            training stopped, before that step changed anything. None when this program cannot be looped.
        """


def run_steps(step: Step, stack: Stack) -> torch.Tensor | None:
    """The losses ``[k]`` of all batches of ``stack`` in one program call; None when they must be taken one by one."""
    return step.run(*stack.inputs, stack.target) if isinstance(step, Looping) else None


class ByKeyword(torch.nn.Module):
    """Calls a module whose inputs come as a dict: positional inputs in, keyword arguments out."""

    def __init__(self, module: torch.nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.module(**dict(zip(self.names, inputs, strict=True)))
