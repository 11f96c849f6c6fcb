"""What a batch looks like without what is in it, so that a resumed run can compile for it before it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tessera.train.batches import Batch

Outline = Any
"""A tensor as ``{"shape": [...], "dtype": ...}``, in tuples and dicts as the tensors of a batch are."""

_TENSOR = {"shape", "dtype"}


def outline(batch: Batch) -> Outline:
    """The shapes and dtypes of ``batch``, in plain values."""
    return {
        "inputs": _outline(batch.inputs),
        "target": _outline(batch.target),
        "names": batch.names,
        "weight": _outline(batch.weight),
    }


def batch_like(found: Outline, device: torch.device) -> Batch:
    """A batch of zeros that looks like it."""
    parts = {name: found[name] if name == "names" else _zeros(found[name], device) for name in found}
    return Batch(**parts)


def _outline(value: Any) -> Outline:
    if isinstance(value, torch.Tensor):
        return {"shape": list(value.shape), "dtype": value.dtype}
    if isinstance(value, Mapping):
        return {"of": {key: _outline(part) for key, part in value.items()}}
    return None if value is None else tuple(map(_outline, value))


def _zeros(found: Outline, device: torch.device) -> Any:
    if found is None:
        return None
    if isinstance(found, tuple):
        return tuple(_zeros(part, device) for part in found)
    if set(found) == _TENSOR:
        return torch.zeros(found["shape"], dtype=found["dtype"], device=device)
    return {key: _zeros(part, device) for key, part in found["of"].items()}
