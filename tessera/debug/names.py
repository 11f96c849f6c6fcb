"""What a tensor is called: by its model, or by the variable that it was assigned to."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from tessera import torch_internals

if TYPE_CHECKING:
    from tessera.debug.mode import DebugMode


def name_of(tensor: torch.Tensor, mode: DebugMode | None, variables: Mapping[str, Any] | None = None) -> str:
    """Of a parameter or buffer, of one of ``variables``, of what the line that made it assigns to; "" for none."""
    found = next((name for name, value in (variables or {}).items() if value is tensor), "")
    if found and not found.startswith("_"):
        return found
    if mode is None:
        return found
    return _of_model(tensor, mode) or found or _of_line(tensor, mode)


def _of_model(tensor: torch.Tensor, mode: DebugMode) -> str:
    key = torch_internals.storage_key(tensor)
    for model in list(mode.models):
        for name, own in itertools.chain(model.named_parameters(), model.named_buffers()):
            if own is tensor or (key and torch_internals.storage_key(own) == key and own.shape == tensor.shape):
                return name
    return ""


def _of_line(tensor: torch.Tensor, mode: DebugMode) -> str:
    operation = mode.trace.find(mode.origins.number(tensor))
    if operation is None or operation.phase != "forward":
        return ""
    return operation.place.name
