"""The check of a number of steps that a callback is given."""

from __future__ import annotations

from tessera.errors import SettingError


def check_interval(callback: object, **steps: int | None) -> None:
    """Check that every number of steps is whole and at least one, or None.

    Raises:
        SettingError: something else was passed.
    """
    for name, value in steps.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            kind = type(callback).__name__
            raise SettingError(
                f"{kind} was given {name}={value!r}.",
                f"{name} is a whole number of steps, at least 1.",
                f"Write for example {kind}(..., {name}=50).",
            )
