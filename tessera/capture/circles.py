"""What a capture leaves in circles goes with it: an object that its user lets go of is gone, as in eager.

Dynamo's notes of an object refer to each other in circles, which keep it until the garbage collector comes by. While
Dynamo traces the collector waits, so that all that is new is in its youngest generations when the call is over, and
takes little time to look through. It looks no earlier: what is still needed then would count as old.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

from tessera import torch_internals

_MANY = 500  # nodes of a graph that takes long to compile, and much memory


class Circles:
    """Those of the captures that one call makes."""

    def __init__(self) -> None:
        self._waits, self._traced, self._attempts = False, False, False

    @contextlib.contextmanager
    def let_go(self) -> Iterator[None]:
        """What captures inside leave in circles is gone afterwards."""
        self._traced = False
        try:
            with torch_internals.told_of_tracing(self._begin, self._end):
                yield
        finally:
            self._attempts = False
            self._end()
            if self._traced:
                gc.collect(1)

    def attempt(self) -> None:
        """The collector waits until ``attempted`` is called: the error of an attempt holds what was noted."""
        self._attempts = True

    def attempted(self) -> None:
        """Nobody holds the error of an attempt any longer."""
        self._attempts = False
        self._end()

    def is_traced(self, nodes: int) -> None:
        """A graph of so many nodes is about to be compiled: a large one for longer than the collector may wait."""
        if nodes > _MANY:
            self.attempted()

    def _begin(self) -> None:
        self._traced = True
        if gc.isenabled():
            self._waits = True
            gc.disable()

    def _end(self) -> None:
        if self._waits and not self._attempts:
            self._waits = False
            gc.collect(0)
            gc.enable()
