"""Random numbers as a function of a seed, a count and a position: the same eagerly, compiled and after a resume.

No generator is involved, so nothing is drawn from torch's random stream and a compiled step computes the numbers where
it uses them. Not for secrets.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

_32_BITS = 0xFFFFFFFF


def random_bits(like: Tensor, seed: int, stream: int, count: Tensor) -> Tensor:
    """Uniform whole numbers below 2^32, int64, in the shape of ``like``.

    Args:
        seed: of the user.
        stream: which of several uses; two streams have nothing to do with each other.
        count: 0-d, how many times numbers were made before.

    References:
        Wellons, Prospecting for hash functions, 2018 (the mixing function, two rounds of it).

    Example:
        >>> random_bits(torch.empty(2), seed=0, stream=0, count=torch.tensor(0.0)).shape
        torch.Size([2])
    """
    key = _mixed(_mixed(seed & _32_BITS) ^ _mixed((stream + 0x9E3779B9) & _32_BITS))
    key = _mixed(count.to(like.device, torch.int64) & _32_BITS ^ key)
    index = torch.arange(like.numel(), dtype=torch.int64, device=like.device).reshape(like.shape)
    return _mixed(_mixed(index & _32_BITS ^ key) + key & _32_BITS)


def random_normal(like: Tensor, seed: int, stream: int, count: Tensor) -> Tensor:
    """Numbers of the standard normal distribution, in the shape of ``like``, float64.

    References:
        Box and Muller, A note on the generation of random normal deviates, 1958.

    Example:
        >>> random_normal(torch.empty(3), seed=0, stream=0, count=torch.tensor(0.0)).dtype
        torch.float64
    """
    first, second = (
        (random_bits(like, seed, 2 * stream + part, count).to(torch.float64) + 0.5) / 2**32 for part in (0, 1)
    )
    return torch.sqrt(-2 * torch.log(first)) * torch.cos(2 * math.pi * second)


def _mixed(x: Any) -> Any:
    # Both factors are below 2^31, so a product of 32 bits with them stays inside int64.
    x = (x ^ x >> 16) * 0x21F0AAAD & _32_BITS
    x = (x ^ x >> 15) * 0x735A2D97 & _32_BITS
    return x ^ x >> 15
