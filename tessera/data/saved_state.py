"""A loader's position as plain numbers, and whether it belongs to this loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tessera.data.cursor import Cursor
from tessera.errors import DataStateError

VERSION = 1
_KEYS = {"version", "epoch", "position", "offset", "seed", "shuffle", "data"}


def state(epoch: int, cursor: Cursor, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What ``read`` takes; ``identity`` is what makes the order: seed, shuffle and data."""
    return {"version": VERSION, "epoch": epoch, "position": cursor.position, "offset": cursor.offset, **identity}


def read(found: Mapping[str, Any], identity: Mapping[str, Any]) -> tuple[int, Cursor]:
    """Epoch and place in it.

    Raises:
        DataStateError: it is no such state, or is one of another order; it says what differs.
    """
    if not isinstance(found, Mapping) or set(found) != _KEYS or found["version"] != VERSION:
        shown = sorted(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
        raise DataStateError(
            f"load_state_dict got {shown}.",
            f"It takes what state_dict() returned: a dict with {', '.join(sorted(_KEYS))} (version {VERSION}).",
            "Pass loader.state_dict() as it was saved.",
        )
    numbers = [found[name] for name in ("epoch", "position", "offset")]
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise DataStateError(
            f"The saved epoch, position and offset are {numbers}.",
            "They are whole numbers of at least 0.",
            "Pass loader.state_dict() as it was saved; this one is damaged.",
        )
    differing = list(_differences(dict(identity), {name: found[name] for name in identity}, ""))
    if differing:
        raise DataStateError(
            f"The saved position belongs to another order: {'; '.join(differing)}.",
            "A run goes on with the data, the seed and the shuffle it was saved with.",
            "Make the loader as it was then; or do not load the position, and begin a new epoch.",
        )
    epoch, position, offset = numbers
    return epoch, Cursor(position, offset)


def _differences(here: Any, saved: Any, name: str) -> Iterator[str]:
    if isinstance(here, dict) and isinstance(saved, dict):
        for key in [*here, *(key for key in saved if key not in here)]:
            yield from _differences(here.get(key), saved.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(here, list) and isinstance(saved, (list, tuple)) and len(here) == len(saved):
        for number, (one, other) in enumerate(zip(here, saved, strict=True)):
            yield from _differences(one, other, f"{name}[{number}]")
    elif here != saved:
        yield f"{name} is {here!r} here and was {saved!r}"
