"""Watchpoints: conditions on what layers return and on the gradients that come back to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch

from tessera import torch_internals
from tessera.debug.ranges import Range, range_of, values_of
from tessera.errors import SettingError, SourceLine

On = Literal["output", "gradient", "both"]
WatchAction = Literal["raise", "warn", "breakpoint", "record"]
_ON = ("output", "gradient", "both")
_ACTIONS = ("raise", "warn", "breakpoint", "record")


@dataclass(frozen=True)
class Watchpoint:
    """What is looked at and what is wrong; see ``DebugMode.watch``."""

    pattern: str
    on: On = "both"
    max_abs: float | None = None
    min_std: float | None = None
    has_nan: bool = False
    shape: Sequence[int | str | None] | None = None
    when: Callable[[torch.Tensor], Any] | None = None
    action: WatchAction = "raise"

    def __post_init__(self) -> None:
        for name, value, allowed in (("on", self.on, _ON), ("action", self.action, _ACTIONS)):
            if value not in allowed:
                raise SettingError(
                    f"watch({self.pattern!r}, {name}={value!r}) was called.",
                    f"It is one of {', '.join(map(repr, allowed))}.",
                    f"Write watch({self.pattern!r}, {name}={allowed[0]!r}).",
                )
        for name, number in (("max_abs", self.max_abs), ("min_std", self.min_std)):
            if number is not None and not (isinstance(number, int | float) and number >= 0):
                raise SettingError(
                    f"watch({self.pattern!r}, {name}={number!r}) was called.",
                    "It is a number from 0.",
                    f"Write watch({self.pattern!r}, {name}=1e4).",
                )
        if not isinstance(self.pattern, str) or not self.pattern:
            raise SettingError(
                f"watch({self.pattern!r}) was called.",
                "A pattern is the path of a layer, with * for one part of it and ** for any number.",
                'Write for example watch("blocks.*.attn", max_abs=1e4).',
            )

    def fits(self, path: str) -> bool:
        """Whether the layer of this path is meant."""
        return _fits(self.pattern.split("."), path.split("."))

    def looks_at(self, what: Literal["output", "gradient"]) -> bool:
        return self.on in (what, "both")

    @torch.no_grad()
    def wrong(self, tensor: torch.Tensor) -> str:
        """Which condition ``tensor`` breaks, in the words of the call; "" for none. Without conditions all do."""
        found = range_of(tensor)
        if self.max_abs is not None and _size(found) > self.max_abs:
            return f"max_abs={self.max_abs:g}"
        if self.has_nan and found.nan:
            return "has_nan=True"
        if self.shape is not None and not _has_shape(found.shape, self.shape):
            return f"shape={list(self.shape)}"
        if self.min_std is not None and (spread := _spread(tensor)) < self.min_std:
            return f"min_std={self.min_std:g}, and its standard deviation is {spread:.3g}"
        if self.when is not None and bool(self.when(tensor)):
            return f"when={getattr(self.when, '__name__', self.when)}"
        conditions = (self.max_abs, self.min_std, self.shape, self.when)
        return "" if self.has_nan or any(c is not None for c in conditions) else "no condition"


@dataclass(frozen=True)
class Hit:
    """A watchpoint that was met.

    Attributes:
        layer: path of the layer.
        what: "output" or "gradient".
        range: of the tensor.
        wrong: the condition, in the words of the call.
        pattern: of the watchpoint.
        where: the user's line that called the layer, if it is known.
    """

    layer: str
    what: str
    range: Range
    wrong: str
    pattern: str
    where: SourceLine | None = None

    def __str__(self) -> str:
        place = f" at {self.where}" if self.where else ""
        return f"{self.what} of {self.layer}: {self.range} ({self.wrong}){place}"


def _fits(pattern: list[str], path: list[str]) -> bool:
    if not pattern or not path:
        return pattern in (path, ["**"])
    if pattern[0] == "**":
        return _fits(pattern[1:], path) or _fits(pattern, path[1:])
    return fnmatchcase(path[0], pattern[0]) and _fits(pattern[1:], path[1:])


def _size(found: Range) -> float:
    if found.inf:
        return float("inf")
    return max(abs(found.low or 0.0), abs(found.high or 0.0))


def _spread(tensor: torch.Tensor) -> float:
    with torch_internals.outside_of_modes():
        values = values_of(tensor)
        if values is None or values.numel() < 2:
            return float("inf")
        return float(values.double().std(correction=0))


def _has_shape(shape: tuple[int, ...], expected: Sequence[int | str | None]) -> bool:
    """A name or None stands for any size."""
    return len(shape) == len(expected) and all(
        not isinstance(size, int) or size == found for size, found in zip(expected, shape, strict=True)
    )
