"""The random generators that data keeps for itself: in a sampler, a dataset, a transformation."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import torch

from tessera.checkpoint.stateful import Generators

_DEEPEST = 6  # a generator in a sampler in a batch sampler in a loader is four down
_LONGEST = 64  # parts of a list that are looked at: transformations are few, samples are many
_MOST = 10_000  # objects that are looked at, the nearest first


def own_generators(data: object) -> dict[str, Generators]:
    """Every generator among the attributes of ``data``, and of what those hold, by the path to it.

    One that is there under several names has the first of them. Modules, tensors and arrays are not looked into.
    """
    found: dict[str, Generators] = {}
    seen: set[int] = set()
    waiting = deque([("", data, 0)])
    while waiting and len(seen) < _MOST:
        path, value, depth = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, random.SystemRandom):  # has no state
            continue
        if isinstance(value, Generators):
            found[path] = value
        elif depth < _DEEPEST:
            waiting.extend((f"{path}.{name}" if path else name, part, depth + 1) for name, part in _parts(value))
    return found


def _parts(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, type | ModuleType | torch.nn.Module | torch.Tensor):
        return
    if isinstance(value, list | tuple):
        yield from ((str(number), part) for number, part in enumerate(value[:_LONGEST]))
    elif isinstance(value, Mapping):
        yield from ((str(name), part) for name, part in list(value.items())[:_LONGEST])
    else:
        yield from getattr(value, "__dict__", {}).items()
