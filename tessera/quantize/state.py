"""Buffers that calls change, as a key-value cache: measuring leaves them as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def state_kept(module: torch.nn.Module, names: Iterable[str] | None = None) -> Iterator[None]:
    """Within, calls may change buffers of ``module``; afterwards they are the same tensors with the same values again.

    Args:
        names: paths of the buffers that may change; all of them where it is left out.
    """
    paths = [name for name, _ in module.named_buffers()] if names is None else list(names)
    before = [(name, module.get_buffer(name), module.get_buffer(name).clone()) for name in paths]
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer, value in before:
                holder, _, last = name.rpartition(".")
                setattr(module.get_submodule(holder), last, buffer)
                buffer.copy_(value)


def changed_by(module: torch.nn.Module, call: Callable[[], object]) -> dict[str, torch.Tensor]:
    """What became of the buffers that ``call`` changes, by path; they have the values from before again."""
    before = {name: (buffer, buffer.clone()) for name, buffer in module.named_buffers()}
    with state_kept(module):
        call()
        return {
            name: module.get_buffer(name).clone()
            for name, (buffer, value) in before.items()
            if module.get_buffer(name) is not buffer or not same_bits(buffer, value)
        }


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors are the same, NaN being equal to itself."""
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return False
    return torch.equal(*(each.contiguous().reshape(-1).view(torch.uint8) for each in (a, b)))
