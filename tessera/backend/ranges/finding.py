"""One thing that is known to go wrong in a program's numbers, and the line it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tessera.errors import SourceLine


class Kind(StrEnum):
    """What goes wrong."""

    OVERFLOW = "overflow"
    UNDERFLOW = "underflow"
    DIVISION = "division by zero"
    DOMAIN = "domain"
    CANCELLATION = "cancellation"
    ACCUMULATION = "low-precision accumulation"


@dataclass(frozen=True)
class NumericsFinding:
    """One finding.

    Attributes:
        kind: what goes wrong.
        severity: ``"error"`` for a function of Tessera that checks (``tessera.exp``), else ``"warning"``.
        known: what can be computed there, as a full sentence.
        consequence: what becomes of it, as a full sentence.
        fix: what to write instead, as a full sentence.
        stable: that as code alone.
        where: the user's line, when it is known.
    """

    kind: Kind
    severity: Literal["warning", "error"]
    known: str
    consequence: str
    fix: str
    stable: str
    where: SourceLine | None = None

    @property
    def message(self) -> str:
        """What is known, what follows, what to write: three sentences."""
        return f"{self.known} {self.consequence} {self.fix}"

    def __str__(self) -> str:
        place = f"\n  at {self.where}" if self.where else ""
        return f"{self.severity}: {self.kind}: {self.message}{place}"
