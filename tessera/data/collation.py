"""Samples become a batch, as torch's ``default_collate`` makes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from tessera import torch_internals
from tessera.data.source import Empty
from tessera.errors import BatchError


def joined(samples: list[Any], empty: Empty = np.empty) -> Any:
    """The batch of ``samples``, its tensors in memory from ``empty`` as far as possible.

    Raises:
        BatchError: they do not fit together.
    """
    try:
        if empty is np.empty:
            return default_collate(samples)
        return torch_internals.collate(samples, lambda tensors: _stacked(tensors, empty))
    except (TypeError, RuntimeError, ValueError) as error:
        raise BatchError(
            f"{len(samples)} samples could not be joined to a batch: {error}.",
            "Samples are tensors, arrays, numbers or strings, or tuples and dicts of them, and all of one shape.",
            "Bring them to one shape with map(), write your own collate=function, or pack() documents.",
        ) from error


def _stacked(tensors: list[torch.Tensor], empty: Empty) -> torch.Tensor | None:
    """``tensors`` in one; None where it is not plain numbers of one shape and dtype that are only to be copied."""
    first = tensors[0]
    plain = all(
        type(one) is torch.Tensor
        and one.layout is torch.strided
        and one.device.type == "cpu"
        and not (one.requires_grad or one.is_quantized)
        and (one.dtype, one.shape) == (first.dtype, first.shape)
        for one in tensors
    )
    if not plain or not first.numel():
        return None
    memory = torch.from_numpy(empty((len(tensors) * first.numel() * first.itemsize,), np.uint8))
    return torch.stack(tensors, out=memory.view(first.dtype).view(len(tensors), *first.shape))
