"""``random="tessera"``: a plain module draws from Tessera's counter-based numbers in place of torch's stream."""

from __future__ import annotations

from typing import Literal, cast

from tessera.errors import SettingError

Source = Literal["torch", "tessera"]


def resolve_random(given: str) -> Source:
    """Where the argument ``random`` says that torch's random operators draw from.

    Raises:
        SettingError: it is neither ``"torch"`` nor ``"tessera"``.
    """
    if given in ("torch", "tessera"):
        return cast("Source", given)
    raise SettingError(
        f"random={given!r} was passed.",
        'It is "torch", the numbers that PyTorch draws, or "tessera", those that kernels compute where they use them.',
        'Write random="tessera"; a seed is set by tessera.seed(0).',
    )
