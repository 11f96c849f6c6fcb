"""What runs as plain PyTorch under ``random="tessera"``: every random operator draws what compiled code draws."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from tessera import torch_internals
from tessera.random.operators import IN_PLACE, OPERATORS
from tessera.random.source import Source

CHECKPOINTED = "random numbers inside torch.utils.checkpoint, which runs eagerly here, are torch's"


def drawing(
    source: Source, note: Callable[[str], None], *, covers_backward: bool = False
) -> AbstractContextManager[Any]:
    """What runs inside draws from ``source``.

    Args:
        note: is told what draws from torch all the same.
        covers_backward: whether the backward of what runs inside runs inside too.
    """
    return contextlib.nullcontext() if source == "torch" else _OwnNumbers(note, covers_backward=covers_backward)


class _OwnNumbers(torch_internals.TransparentMode):
    def __init__(self, note: Callable[[str], None], *, covers_backward: bool) -> None:
        super().__init__()
        self._note, self._covers_backward = note, covers_backward

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = OPERATORS.get(operator) or IN_PLACE.get(operator)
        if rule is None or torch_internals.is_capturing() or self._belongs_to_torch(args, kwargs):
            return operator(*args, **kwargs)
        value = rule(*args, **kwargs)
        if value is NotImplemented:
            return operator(*args, **kwargs)
        return args[0].copy_(value) if operator in IN_PLACE else value

    def _belongs_to_torch(self, args: Any, kwargs: Any) -> bool:
        """What a checkpoint computes again in a backward outside, or on a thread of the device, this does not see."""
        if not torch_internals.inside_checkpoint():
            return False
        given = [value.device for value in args if isinstance(value, torch.Tensor)]
        device = torch.device(kwargs.get("device") or "cpu") if not given else given[0]
        if self._covers_backward and device.type == "cpu":
            return False
        self._note(CHECKPOINTED)
        return True
