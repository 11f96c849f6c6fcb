"""What an update works on: parameters, the optimizer's state and its hyper-parameters."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.capture.hyper_parameters import HyperParameters
from tessera.capture.number_guards import NumberGuards
from tessera.capture.step_down import CannotCapture


@dataclass(frozen=True)
class StateSlot:
    """One tensor of optimizer state: ``table[name] is tensor``, and ``table`` is the state of ``parameter``."""

    parameter: torch.nn.Parameter
    table: dict[str, Any]
    name: str
    tensor: torch.Tensor


@dataclass
class BoundUpdate:
    """How one optimizer updates some of its parameters, as far as a compiled step has to know.

    Attributes:
        guards: whether new values of the hyper-parameters fit what the Program assumes, all of them.
    """

    optimizer: torch.optim.Optimizer
    parameters: list[torch.nn.Parameter]
    slots: list[StateSlot]
    hyper_parameters: HyperParameters
    guards: Sequence[torch_internals.SymbolGuards | NumberGuards]

    def holds(self, numbers: Sequence[float]) -> bool:
        """Whether the Program fits these hyper-parameters."""
        return all(guard(numbers) for guard in self.guards)

    def current(self) -> bool:
        """Whether state and hyper-parameters are still those the Program was made for; brings the latter up to date."""
        if "step" in self.optimizer.__dict__ and is_replaced(self.optimizer):
            return False
        state = self.optimizer.state
        for slot in self.slots:
            if slot.table.get(slot.name) is not slot.tensor or state.get(slot.parameter) is not slot.table:
                return False
        return self.hyper_parameters.refresh(self.holds)


def parameters_of(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.Tensor]) -> list[torch.nn.Parameter]:
    """Those of ``parameters`` that ``optimizer`` updates, in its order."""
    chosen = {id(p) for p in parameters}
    return [p for group in optimizer.param_groups for p in group["params"] if id(p) in chosen]


def state_slots(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]) -> list[StateSlot]:
    """The tensors that the optimizer keeps for ``parameters`` at present."""
    return [
        StateSlot(p, optimizer.state[p], name, value)
        for p in parameters
        if p in optimizer.state
        for name, value in optimizer.state[p].items()
        if isinstance(value, torch.Tensor)
    ]


def is_replaced(optimizer: torch.optim.Optimizer) -> bool:
    """Whether ``step`` was replaced on the object itself."""
    # torch's schedulers wrap it to count calls
    return "step" in optimizer.__dict__ and not hasattr(optimizer.step, "_wrapped_by_lr_sched")


def make_state(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.nn.Parameter]) -> None:
    """Have the optimizer make the state it makes lazily, where it offers a way that updates nothing."""
    if hasattr(optimizer, "initialise_state"):
        optimizer.initialise_state(parameters)
        return
    make = getattr(optimizer, "_init_group", None)
    if make is None:
        raise CannotCapture(f"{type(optimizer).__name__} has no dense state to prepare")
    lists = len(inspect.signature(make).parameters) - 1
    kept = {p: p.grad for group in optimizer.param_groups for p in group["params"]}
    try:
        for p in kept:
            p.grad = None
        for p in parameters:
            p.grad = torch.zeros_like(p)
        for group in optimizer.param_groups:
            make(group, *([] for _ in range(lists)))
    finally:
        for p, grad in kept.items():
            p.grad = grad
