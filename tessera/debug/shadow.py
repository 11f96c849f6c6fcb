"""Which calls of compiled code are verified, and what happens when compiled and plain results disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tessera.errors import SettingError


@dataclass(frozen=True)
class Shadow:
    """How compiled code is verified: computed twice, compiled and one operation at a time, and compared.

    Args:
        calls: how many of the first calls.
        every: one in so many of the later calls; None for none.
        on_mismatch: ``"warn"`` goes on with plain results, from there on; ``"raise"`` raises, and nothing was changed.

    Raises:
        SettingError: a number or action that makes no sense.
    """

    calls: int = 3
    every: int | None = 1000
    on_mismatch: Literal["warn", "raise"] = "warn"

    def __post_init__(self) -> None:
        for name, value, valid, expected, example in (
            ("calls", self.calls, _is_count(self.calls, 0), "a whole number from 0", "3"),
            ("every", self.every, self.every is None or _is_count(self.every, 1), "a whole number from 1", "1000"),
            ("on_mismatch", self.on_mismatch, self.on_mismatch in ("warn", "raise"), '"warn" or "raise"', '"warn"'),
        ):
            if not valid:
                raise SettingError(
                    f"Shadow({name}={value!r}) was passed.",
                    f"{name} is {expected}.",
                    f"Write Shadow({name}={example}).",
                )


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def resolve_verify(verify: str | Shadow | None) -> Shadow | None:
    """What the argument ``verify`` means.

    Raises:
        SettingError: it is something else.
    """
    if verify is None or isinstance(verify, Shadow):
        return verify
    if verify == "shadow":
        return Shadow()
    raise SettingError(
        f"verify={verify!r} was passed.",
        'It is "shadow", a tessera.debug.Shadow(...), or None for no verification.',
        'Write verify="shadow".',
    )


class Schedule:
    """Which calls are verified."""

    def __init__(self, shadow: Shadow) -> None:
        self._shadow, self.calls = shadow, 0

    def due(self) -> bool:
        """Whether this call is; counts it."""
        self.calls += 1
        return self.calls <= self._shadow.calls or self._is_sample(self.calls)

    def _is_sample(self, number: int) -> bool:
        return self._shadow.every is not None and number % self._shadow.every == 0
