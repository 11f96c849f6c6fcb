"""Families of inputs that an expression is tried on, each of ``EACH`` samples.

the small, the large, probabilities, what is near 1, nearly equal ones, what lies around a number far from 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

EACH = 8  # samples of a family

Family = Callable[[torch.Generator, Sequence[int], Tensor], Tensor]


def _of_size(low: float, high: float, sign: int) -> Family:
    """Of one order of magnitude per sample, between the powers ``low`` and ``high`` of ten."""

    def family(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
        powers = torch.rand(EACH, *(1 for _ in shape), generator=generator) * (high - low) + low
        sizes = 10**powers * (0.5 + 1.5 * torch.rand(EACH, *shape, generator=generator))
        return sizes * (sign or torch.randint(0, 2, sizes.shape, generator=generator) * 2 - 1)

    return family


def _of_either_sign(low: float, high: float) -> Family:
    """All of a sample of one sign, those of every other sample of the other."""
    positive = _of_size(low, high, 1)

    def family(generator: torch.Generator, shape: Sequence[int], first: Tensor) -> Tensor:
        signs = 1 - 2 * (torch.arange(EACH) % 2)
        return positive(generator, shape, first) * signs.view(EACH, *(1 for _ in shape))

    return family


def _probabilities(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
    return torch.sigmoid(torch.rand(EACH, *shape, generator=generator) * 24 - 12)


def _nearly_equal(generator: torch.Generator, shape: Sequence[int], first: Tensor) -> Tensor:
    """To each other input of its shape."""
    apart = 2.0 ** -(4 + 8 * torch.rand(EACH, *(1 for _ in shape), generator=generator))
    return (0.5 + first) * (1 + apart * (torch.rand(EACH, *shape, generator=generator) - 0.5))


def _near_one(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
    """As far from it as there are orders of magnitude."""
    apart = 10 ** -(1 + 5 * torch.rand(EACH, *shape, generator=generator))
    return 1 + apart * (torch.randint(0, 2, apart.shape, generator=generator) * 2 - 1)


def _offset(distance: float) -> Family:
    """Around a number, far from 0."""

    def family(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
        return distance + 2 * torch.rand(EACH, *shape, generator=generator) - 1

    return family


def _spread(low: float, high: float) -> Family:
    """Both signs, as far from each other as between the powers ``low`` and ``high`` of ten."""

    def family(generator: torch.Generator, shape: Sequence[int], _: Tensor) -> Tensor:
        widths = 10 ** (low + (high - low) * torch.rand(EACH, *(1 for _ in shape), generator=generator))
        return widths * (2 * torch.rand(EACH, *shape, generator=generator) - 1)

    return family


TINY = (_of_size(-9, -6, 0), _of_either_sign(-9, -6))  # beside what is not; differences vanish in float64 too
ORDINARY: tuple[Family, ...] = (
    *TINY,
    *(_of_size(low, high, sign) for low, high in ((-5, -2), (-1, 1), (1, 1.5), (1.3, 2.7)) for sign in (-1, 0, 1)),
    *(_probabilities, _near_one, _nearly_equal, _offset(12), _spread(1, 1.5), _spread(1, 2)),
)
EXPONENTS = _of_size(2, 2.5, 1)  # whose exponentials float32 does not have, and float64 has
HOSTILE: tuple[Family, ...] = (_of_size(10, 18, 0), _of_size(-22, -12, 0), _offset(8192))
OUT_OF_RANGE: tuple[Family, ...] = (_of_size(20, 24, 0), _of_size(20, 24, 1), _of_size(-24, -20, 0))  # once multiplied
OUT_OF_HALF: tuple[Family, ...] = (_of_size(2.4, 3.6, 0), _of_size(2.4, 3.6, 1), _of_size(-6, -4, 0))  # of float16
