"""Values that come of whole numbers alone: positions, counts, degrees of nodes.

There an infinity is often put away again at once: ``torch.log(distance)`` becomes a bucket, ``degree ** -0.5`` is
filled with 0 where it is infinite. So what is born among them waits: it is told when data meets it, or when nothing
ever looked at it; a result that is finite, or whole numbers again, has put it away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from tessera.debug.operation import Operation
from tessera.debug.ranges import watchable
from tessera.errors import NonFiniteValueError

_MOST = 100_000  # operations that are remembered


@dataclass
class _Waiting:
    error: NonFiniteValueError
    put_away: bool = False


class IndexArithmetic:
    """Which operations compute with whole numbers alone, and what was born among them."""

    def __init__(self) -> None:
        self._whole: set[int] = set()
        self._waiting: dict[int, _Waiting] = {}

    def follow(
        self,
        operation: Operation,
        tensors: Sequence[torch.Tensor],
        number_of: Callable[[torch.Tensor], int],
        report: Callable[[NonFiniteValueError], None],
    ) -> None:
        """An operation ran on ``tensors``: it may go on with what waits, put it away, or be the data that meets it."""
        floats = [tensor for tensor in tensors if watchable([tensor])]
        if tensors and all(number_of(tensor) in self._whole for tensor in floats):
            self._whole.add(operation.number)
        for waiting in [self._waiting[n] for n in operation.parents if n in self._waiting]:
            if all(result.finite for result in operation.results) and operation.results:
                waiting.put_away = True
            elif operation.number in self._whole:
                self._waiting[operation.number] = waiting
            else:
                waiting.put_away = True  # it is told once
                report(waiting.error)
        if len(self._whole) > 2 * _MOST:
            oldest = operation.number - _MOST
            self._whole = {number for number in self._whole if number > oldest}
            self._waiting = {number: waiting for number, waiting in self._waiting.items() if number > oldest}

    def waits(self, operation: Operation, error: NonFiniteValueError) -> bool:
        """Whether what was born in ``operation`` is kept for now."""
        if operation.number not in self._whole:
            return False
        self._waiting[operation.number] = _Waiting(error)
        return True

    def left(self) -> list[NonFiniteValueError]:
        """What nothing has put away."""
        found = {id(waiting): waiting for waiting in self._waiting.values() if not waiting.put_away}
        return [waiting.error for waiting in found.values()]
