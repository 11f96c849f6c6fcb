"""What a pass is: a name, a promise and one function from Program to the number of places it changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tessera.program import Program


@dataclass(frozen=True)
class Pass:
    """One rewrite of a Program.

    Attributes:
        name: what it does, as a verb phrase; the name of its file.
        promise: ``"bitwise"`` when every result keeps its bits, ``"close"`` when rounding may differ.
        apply: rewrites the graph in place and returns how many places matched (0: it left the graph alone).
    """

    name: str
    promise: Literal["bitwise", "close"]
    apply: Callable[[Program], int]
