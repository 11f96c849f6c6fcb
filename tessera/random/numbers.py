"""Random numbers of Tessera's own: a function of a key, the same eagerly, compiled and on every kind of device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tessera.errors import SettingError
from tessera.random.words import draw_key, random_words

_WIDTHS = {torch.float64: 53, torch.float32: 24, torch.float16: 11, torch.bfloat16: 8}


def rand(
    *size: int | Sequence[int], dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> torch.Tensor:
    """Uniform numbers in [0, 1), all multiples of 2^-24 in float32 (2^-53, 2^-11, 2^-8 in float64, float16, bfloat16).

    Args:
        size: of the result.
        dtype: a real floating point one; torch's default by default.
        device: torch's default by default.

    Raises:
        SettingError: the dtype is none of these.

    Example:
        >>> with tessera.random_state(0):
        ...     first = tessera.random.rand(2, 3)
        >>> with tessera.random_state(0):
        ...     assert torch.equal(tessera.random.rand(2, 3), first)
    """
    dtype = _checked(dtype)
    return uniform(draw_key(device), _shape(size), dtype)


def randn(
    *size: int | Sequence[int], dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> torch.Tensor:
    """Numbers of the standard normal distribution. Arguments and errors are those of ``rand``.

    Computed in float64 and rounded once: whose logarithm and cosine is used, which differ eagerly and compiled, is seen
    in the last bits of float64 alone.

    References:
        Box and Muller, A note on the generation of random normal deviates, 1958.
    """
    dtype = _checked(dtype)
    return normal(draw_key(device), _shape(size)).to(dtype)


def bernoulli(
    p: float, *size: int | Sequence[int], device: torch.device | str | None = None, key: torch.Tensor | None = None
) -> torch.Tensor:
    """True with probability ``p``, to within 2^-32.

    Args:
        p: from 0 to 1.
        size: of the result, which is bool.
        device: torch's default by default.
        key: of these numbers; drawn if it is not given.
    """
    key = draw_key(device) if key is None else key
    return random_words(key, _shape(size)) < round(p * 2**32)


def normal(key: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Standard normal numbers of a key, float64."""
    radius = torch.sqrt(-2 * torch.log1p(-uniform(key, shape, torch.float64)))
    return radius * torch.cos(2 * math.pi * uniform(key, shape, torch.float64, stream=2))


def uniform(key: torch.Tensor, shape: Sequence[int], dtype: torch.dtype, stream: int = 0) -> torch.Tensor:
    """Uniform numbers of a key; see ``rand``."""
    width = _WIDTHS[dtype]
    words = random_words(key, shape, stream)
    if width <= 32:
        return (words >> (32 - width)).to(dtype) * 2.0**-width
    return ((words << 21) | (random_words(key, shape, stream + 1) >> 11)).to(dtype) * 2.0**-width


def _checked(dtype: torch.dtype | None) -> torch.dtype:
    dtype = dtype or torch.get_default_dtype()
    if dtype not in _WIDTHS:
        raise SettingError(
            f"Random numbers of dtype {dtype} were asked for.",
            f"They are real and of floating point: {', '.join(str(each) for each in _WIDTHS)}.",
            "Write for example tessera.random.rand(3, dtype=torch.float32), and convert the result.",
        )
    return dtype


def _shape(size: tuple[int | Sequence[int], ...]) -> tuple[int, ...]:
    if len(size) == 1 and isinstance(size[0], Sequence):
        return tuple(size[0])
    return tuple(size)  # type: ignore[arg-type]  # one sequence, or numbers only
