"""Where an epoch goes on."""

from __future__ import annotations

from typing import NamedTuple


class Cursor(NamedTuple):
    """The next sample, by its position in the epoch; and, in packing, the first of its tokens that was not used."""

    position: int = 0
    offset: int = 0
