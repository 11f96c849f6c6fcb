"""What a model was last trained on: a few samples, so that exporting it needs no example."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from tessera.train.batches import Batch

_SAMPLES = 2

_REMEMBERED: WeakKeyDictionary[torch.nn.Module, tuple[torch.Tensor, ...] | dict[str, torch.Tensor]] = (
    WeakKeyDictionary()
)


def remember_inputs(module: torch.nn.Module, batch: Batch) -> None:
    """Keep the first samples of ``batch`` for as long as ``module`` lives."""
    inputs = tuple(x[:_SAMPLES].detach().clone() if x.dim() else x.detach().clone() for x in batch.inputs)
    _REMEMBERED[module] = dict(zip(batch.names, inputs, strict=True)) if batch.names else inputs


def remembered_inputs(module: torch.nn.Module) -> tuple[torch.Tensor, ...] | dict[str, torch.Tensor] | None:
    """Positional or keyword inputs that ``fit`` has called ``module`` with, two samples at most; None before a fit."""
    return _REMEMBERED.get(module)
