"""Philox-4x32-10: four random words as a function of a key and a counter, for tensors and for Python's integers.

Being a function it has no state, so a kernel computes the numbers where it uses them, and a backward that needs a mask
again computes it again. Words are whole numbers below 2^32 in int64.
"""

from __future__ import annotations

from typing import TypeVar

import torch

Number = TypeVar("Number", int, torch.Tensor)
Words = tuple[Number, Number, Number, Number]

_16_BITS, _32_BITS = 0xFFFF, 0xFFFFFFFF
_FACTORS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10


def philox(key: tuple[Number, Number], counter: Words[Number]) -> Words[Number]:
    """Four words below 2^32.

    Args:
        key: two words; two keys have nothing to do with each other.
        counter: four words; so have two counters.

    References:
        Salmon, Moraes, Dror and Shaw, Parallel random numbers: as easy as 1, 2, 3, 2011.

    Example:
        >>> [hex(word) for word in philox((0, 0), (0, 0, 0, 0))]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    (k0, k1), (x0, x1, x2, x3) = key, counter
    for _ in range(_ROUNDS):
        high0, low0 = _product(x0, _FACTORS[0])
        high1, low1 = _product(x2, _FACTORS[1])
        x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _32_BITS, (k1 + _WEYL[1]) & _32_BITS
    return x0, x1, x2, x3


def _product(word: Number, factor: int) -> tuple[Number, Number]:
    """High and low word of a product: in two halves, for int64 does not hold 64 bits without a sign."""
    low = (word & _16_BITS) * factor
    high = (word >> 16) * factor + (low >> 16)
    return high >> 16, ((high & _16_BITS) << 16) | (low & _16_BITS)
