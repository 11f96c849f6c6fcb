"""Runs every operation a second time in double precision, on values that were never rounded to less.

What the operation itself computes stays as it is; beside every piece of memory that holds numbers lies its double, so
views and writes in place need no rule of their own. Decisions (comparisons, indices) and random numbers are those of
the run. Where an operator has no double form its double is what it returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals

_LOW = (torch.float16, torch.bfloat16, torch.float32)
_SKIPPED = ("empty", "new_empty", "_local_scalar_dense")


@dataclass
class _Double:
    alive: torch_internals.WeakStorage
    flat: torch.Tensor


class Doubled(torch_internals.DispatchMode):
    """While it is entered, ``of(tensor)`` is what ``tensor`` would be without rounding."""

    def __init__(self) -> None:
        super().__init__()
        self._doubles: dict[tuple[int, torch.dtype], _Double] = {}
        self._limit = 1000

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Double precision for floats, itself for all else."""
        wide = _wider(tensor.dtype)
        key = torch_internals.storage_key(tensor)
        if wide is None or not key or tensor.is_meta:
            return tensor
        with torch.no_grad(), torch_internals.outside_of_modes():
            return self._flat(tensor, wide, key).as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())

    def _flat(self, tensor: torch.Tensor, wide: torch.dtype, key: int) -> torch.Tensor:
        found = self._doubles.get((key, tensor.dtype))
        storage = tensor.untyped_storage()
        count = storage.nbytes() // tensor.itemsize
        if found is None or found.alive.expired() or found.flat.numel() != count:
            flat = tensor.detach().as_strided((count,), (1,), 0).to(wide, copy=True)
            found = self._doubles[key, tensor.dtype] = _Double(torch_internals.WeakStorage(storage), flat)
            if len(self._doubles) > self._limit:
                self._doubles = {k: d for k, d in self._doubles.items() if not d.alive.expired()}
                self._limit = max(1000, 2 * len(self._doubles))
        return found.flat

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        written = torch_internals.writes(operator)
        name = operator.overloadpacket.__name__
        only_looks = torch_internals.is_view(operator) and not written
        if torch.compiler.is_compiling() or only_looks or name.startswith(_SKIPPED):
            return operator(*args, **kwargs)
        exact = None
        if not _draws(operator, args, kwargs):
            wide_args, wide_kwargs = torch_internals.on_leaves(self._widened, (args, kwargs))
            try:
                exact = torch_internals.tensors_in(operator(*wide_args, **wide_kwargs))
            except Exception:  # noqa: BLE001 - an operator that refuses doubles has none
                exact = None
        result = operator(*args, **kwargs)
        changed = torch_internals.tensors_in(torch_internals.written_arguments(operator, args, kwargs))
        if exact is None:
            for tensor in changed:
                self._doubles.pop((torch_internals.storage_key(tensor), tensor.dtype), None)
        known = {id(tensor) for tensor in changed}
        made = torch_internals.tensors_in(result)
        for position, tensor in enumerate(made):
            if id(tensor) not in known and _wider(tensor.dtype) is not None:
                self._doubles.pop((torch_internals.storage_key(tensor), tensor.dtype), None)
                if exact is not None and len(exact) == len(made) and exact[position].shape == tensor.shape:
                    self.of(tensor).copy_(exact[position])
        return result

    def _widened(self, leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return self.of(leaf)
        return _wider(leaf) or leaf if isinstance(leaf, torch.dtype) else leaf


def _wider(dtype: torch.dtype) -> torch.dtype | None:
    if dtype in _LOW or dtype is torch.float64:
        return torch.float64
    return torch.complex128 if dtype.is_complex else None


def _draws(operator: Any, args: Any, kwargs: Any) -> bool:
    """Whether the operator would draw random numbers, a second time."""
    if not torch_internals.is_random(operator):
        return False
    named = torch_internals.named_arguments(operator, args, kwargs)
    return named.get("dropout_p", 1.0) != 0.0
