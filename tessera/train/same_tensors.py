"""An optimizer's state keeps its tensors when it is loaded: a compiled step holds on to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def same_tensors(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """What is loaded inside goes into the tensors that are there, as far as shape and dtype are the same."""
    before = [dict(optimizer.state) for optimizer in optimizers]
    yield
    with torch.no_grad():
        for optimizer, tables in zip(optimizers, before, strict=True):
            for parameter, table in tables.items():
                loaded = optimizer.state.get(parameter, {})
                if loaded is table or loaded.keys() != table.keys():
                    continue
                for name, value in loaded.items():
                    table[name] = _into(table[name], value)
                optimizer.state[parameter] = table


def _into(there: object, value: object) -> object:
    if not isinstance(there, torch.Tensor) or not isinstance(value, torch.Tensor):
        return value
    alike = (there.shape, there.dtype, there.device) == (value.shape, value.dtype, value.device)
    return there.copy_(value) if alike else value
