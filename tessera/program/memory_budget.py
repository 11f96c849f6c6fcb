"""What the user allows a training step to take of memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tessera.errors import SettingError

_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_FEWEST_BYTES = 1 << 20  # of a number without a unit; a smaller number is not meant as bytes
_TEXT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([A-Za-z]+)\s*")


@dataclass(frozen=True)
class MemoryBudget:
    """One of three: so many bytes, a share of what is allocated without a budget, or what is free.

    Attributes:
        size: bytes for everything that the step needs: what it is given and what it allocates.
        share: of what the step allocates at its peak without a budget, in (0, 1].
    """

    size: int | None = None
    share: float | None = None

    @property
    def automatic(self) -> bool:
        """Whether it is what the machine has free."""
        return self.size is None and self.share is None

    def __str__(self) -> str:
        if self.size is not None:
            return repr(in_words(self.size))
        return "'auto'" if self.share is None else f"{self.share:g}"


def resolve_memory_budget(given: str | float | MemoryBudget | None) -> MemoryBudget | None:
    """What the argument ``memory_budget`` of a training step means; None is none.

    Raises:
        SettingError: it is neither ``"auto"``, a size with its unit, nor a number in (0, 1].
    """
    if given is None or isinstance(given, MemoryBudget):
        return given
    if given == "auto":
        return MemoryBudget()
    if isinstance(given, str) and (found := _TEXT.fullmatch(given)) and found[2] in _UNITS:
        size = int(float(found[1]) * _UNITS[found[2]])
        if size > 0:
            return MemoryBudget(size=size)
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 < given <= 1:
        return MemoryBudget(share=float(given))
    raise SettingError(
        f"memory_budget={given!r} was passed.",
        "It is 'auto', a size with its unit, or a part of what the step's activations take, above 0 and at most 1.",
        _advice(given),
    )


def _advice(given: object) -> str:
    size = "24GiB"
    if isinstance(given, int | float) and not isinstance(given, bool) and 1 < given < math.inf:
        size = in_words(int(given)) if given >= _FEWEST_BYTES else f"{given:g}GiB"
    return f"Write memory_budget={size!r}, or memory_budget=0.5 for half of what the step takes without one."


def in_words(size: int) -> str:
    """Bytes with a unit, as ``resolve_memory_budget`` reads it; never fewer than they are."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= 10 * _UNITS[unit]:
            return f"{math.ceil(10 * size / _UNITS[unit]) / 10:g}{unit}"
    return f"{size}B"
