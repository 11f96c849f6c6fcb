"""Optimizers that evaluate the loss themselves."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence

import torch

from tessera.optim.sam import SAM


def ascends(optimizer: torch.optim.Optimizer) -> bool:
    """Whether each step evaluates the loss twice, as `SAM` does: a fixed number of times fits into one Program."""
    return type(optimizer) is SAM and "step" not in optimizer.__dict__


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether ``step`` evaluates the loss itself, several times (L-BFGS, SAM)."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


class Rollback:
    """Parameters and state of optimizers before a step that may have to be taken back halfway."""

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        parameters = [p for o in optimizers for group in o.param_groups for p in group["params"]]
        self._values = [(p, p.detach().clone()) for p in parameters]
        self._states = [(o, {p: copy.deepcopy(state) for p, state in o.state.items()}) for o in optimizers]

    @torch.no_grad()
    def restore(self) -> None:
        """Put both back."""
        for parameter, value in self._values:
            parameter.copy_(value)
        for optimizer, state in self._states:
            optimizer.state.clear()
            optimizer.state.update(state)
