"""Buffers that a file keeps from call to call, as its model does: both are asked several times in a row."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tessera.export.example import Example
from tessera.export.flat import FlatCall, buffers_as_they_were
from tessera.export.format import Runner

_CALLS = 3


class InARow(torch.nn.Module):
    """What a model answers when it is called several times, one after the other; it has its state of before again."""

    def __init__(self, flat: FlatCall) -> None:
        super().__init__()
        self.flat = flat

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The answers of all calls, in order."""
        with buffers_as_they_were(self.flat.module, self.flat.kept):
            return tuple(answer.clone() for _ in range(_CALLS) for answer in self.flat(*tensors))


def run_in_a_row(load: Callable[[], Runner]) -> Runner:
    """The same of a file, which begins anew with each loading."""

    def run(case: Example) -> list[torch.Tensor]:
        run_once = load()
        return [answer.clone() for _ in range(_CALLS) for answer in run_once(case)]

    return run
