"""Tensors inside tuples, lists and dicts: taken out, and put back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class _Place:
    number: int


@dataclass(frozen=True)
class Rebuild:
    """Makes the structure again, around other leaves."""

    skeleton: Any

    def __call__(self, leaves: Sequence[Any]) -> Any:
        return _filled(self.skeleton, leaves)


def is_array(value: object) -> bool:
    """Whether it is a tensor or an array."""
    return isinstance(value, (torch.Tensor, np.ndarray))


def leaves_of(value: Any, is_leaf: Callable[[Any], bool] = is_array) -> tuple[list[Any], Rebuild]:
    """The leaves in ``value``, in order; whatever is neither leaf nor tuple, list or dict stays in the structure."""
    leaves: list[Any] = []

    def emptied(part: Any) -> Any:
        if is_leaf(part):
            leaves.append(part)
            return _Place(len(leaves) - 1)
        if type(part) is dict:
            return {key: emptied(inner) for key, inner in part.items()}
        if type(part) in (list, tuple):
            return type(part)(map(emptied, part))
        if _is_named_tuple(part):
            return tuple.__new__(type(part), map(emptied, part))  # its own may look into what it is given
        return part

    skeleton = emptied(value)
    return leaves, Rebuild(skeleton)


def _filled(part: Any, leaves: Sequence[Any]) -> Any:
    if type(part) is _Place:
        return leaves[part.number]
    if type(part) is dict:
        return {key: _filled(inner, leaves) for key, inner in part.items()}
    if type(part) in (list, tuple):
        return type(part)(_filled(inner, leaves) for inner in part)
    if _is_named_tuple(part):
        return tuple.__new__(type(part), (_filled(inner, leaves) for inner in part))
    return part


def _is_named_tuple(part: Any) -> bool:
    return isinstance(part, tuple) and hasattr(part, "_fields")
