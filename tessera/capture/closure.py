"""Optimizers that evaluate the loss themselves."""

from __future__ import annotations

import inspect

import torch


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Whether ``step`` evaluates the loss itself, several times (L-BFGS)."""
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty
