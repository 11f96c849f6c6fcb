"""The state of every random generator that is there without being made, as an object that a snapshot can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tessera.checkpoint.ranks import by_rank, of_this_rank
from tessera.random.state import get_state, set_state


class RandomState:
    """The global generators as one object with a state; each rank has its own, under its own key.

    Generators that a program makes itself are saved as any other object is: by naming them.
    """

    def state_dict(self) -> dict[str, Any]:
        """A copy of all states; as long as no GPU has been used, there is none of a GPU."""
        return by_rank(get_state())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put the states of this rank back. A rank that was not there when they were saved keeps its own."""
        own = of_this_rank(state)
        if own is not None:
            set_state(own)
