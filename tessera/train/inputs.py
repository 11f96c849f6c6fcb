"""Data of which only the inputs are wanted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any, Self

import numpy as np
import torch

from tessera.train.batches import INPUT_ATTRIBUTES, LABEL_KEYS, WEIGHT_KEY, Batch, BatchReader


@dataclass(frozen=True)
class InputReader(BatchReader):
    """Reads batches as `fit` does, and leaves the labels out; see ``predict`` for how they are told apart.

    Attributes:
        required: the parameters that ``forward`` cannot be called without.
    """

    required: tuple[str, ...] = ()

    @classmethod
    def of(cls, module: torch.nn.Module, *, whole: bool = True) -> Self:
        """The reader for ``module``."""
        plain = BatchReader.of(module)
        return cls(plain.dtype, plain.device, whole, _required(module))

    def convert(self, found: object, name: str) -> Batch:
        """The inputs in ``found``, left on the device where they are."""
        inputs = self._inputs(found)
        if isinstance(inputs, Mapping):
            return Batch(tuple(self._input(x, name) for x in inputs.values()), None, tuple(inputs))
        return Batch(tuple(self._input(x, name) for x in inputs), None)

    def _inputs(self, found: Any) -> Mapping[str, Any] | tuple[Any, ...]:
        if isinstance(found, Mapping):
            label = next((key for key in LABEL_KEYS if key in found), None)
            left_out = {label, WEIGHT_KEY} - set(self.required)
            return {key: value for key, value in found.items() if key not in left_out}
        if isinstance(found, tuple) or (isinstance(found, list) and _holds_arrays(found)):
            if len(found) == 1:
                return _several(found[0])
            inputs = _several(found[0]) if len(found) == 2 else tuple(found[:-1])
            return inputs if isinstance(inputs, Mapping) or len(inputs) >= len(self.required) else tuple(found)
        attribute = next((key for key in INPUT_ATTRIBUTES if hasattr(found, key)), None)
        return (found,) if attribute is None else _several(getattr(found, attribute))


def as_inputs(data: object) -> object:
    """``data`` as ``source`` takes it: a list of numbers, however nested, is one array and no list of batches."""
    inside = data
    while isinstance(inside, list) and inside:
        inside = inside[0]
    return (data,) if isinstance(data, list) and isinstance(inside, Number) else data


def _several(found: Any) -> Mapping[str, Any] | tuple[Any, ...]:
    """One input or several, by position or by keyword."""
    if isinstance(found, Mapping):
        return found
    return tuple(found) if _holds_arrays(found) else (found,)


def _holds_arrays(found: object) -> bool:
    return isinstance(found, (tuple, list)) and any(isinstance(part, (torch.Tensor, np.ndarray)) for part in found)


def _required(module: torch.nn.Module) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):  # compiled code without a signature
        return ()
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return tuple(p.name for p in parameters if p.default is p.empty and p.kind not in several)
