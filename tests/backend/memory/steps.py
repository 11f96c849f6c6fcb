"""Training steps as Programs, which nobody compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from torch import nn

import tessera
from tessera.backend.pipeline import PIPELINE
from tessera.backend.runner import run_pipeline
from tessera.capture import whole_step
from tessera.program import Program


class _Captured(BaseException):
    """Carries a Program out of the capture."""


class Residual(nn.Module):
    """Blocks with a wide hidden layer: ``[rows, width]`` -> the same."""

    def __init__(self, blocks: int = 4, width: int = 32, wide: int = 128, dropout: float = 0.0) -> None:
        super().__init__()

        def block() -> nn.Module:
            into, out = nn.Linear(width, wide), nn.Linear(wide, width)
            return nn.Sequential(nn.LayerNorm(width), into, nn.GELU(), nn.Dropout(dropout), out)

        self.blocks = nn.ModuleList(block() for _ in range(blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return x


def step_program(
    module: nn.Module,
    batch: Sequence[torch.Tensor],
    loss: Callable[..., torch.Tensor] = nn.functional.mse_loss,
    make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    **options: Any,
) -> Program:
    """The Program of one training step as it is before a memory budget is looked at."""

    def keep(program: Program, *_: Any, **__: Any) -> None:
        run_pipeline(program, [rewrite for rewrite in PIPELINE if rewrite.name not in ("recompute", "outline_regions")])
        raise _Captured(program)

    with mock.patch.object(whole_step, "compile_program", keep):
        step = tessera.train_step(module, loss, make(module.parameters(), lr=0.1), **options)
        try:
            step(*batch)
        except _Captured as captured:
            (program,) = captured.args
    return program
