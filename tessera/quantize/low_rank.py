"""LoRA (Hu et al., 2022): a product of two thin matrices beside a weight that does not train."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

_STRENGTH = 2.0  # alpha / rank in the paper


class LowRank(torch.nn.Module):
    """``x -> strength * up(down(x))`` for ``[..., wide] -> [..., out]``; 0 until it is trained.

    Args:
        wide, out: channels.
        rank: channels between.
        dtype, device: of the parameters.
    """

    def __init__(self, wide: int, out: int, rank: int, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.down = torch.nn.Parameter(torch.empty(rank, wide, dtype=dtype, device=device))
        self.up = torch.nn.Parameter(torch.zeros(out, rank, dtype=dtype, device=device))
        torch.nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _STRENGTH * F.linear(F.linear(x, self.down), self.up)
