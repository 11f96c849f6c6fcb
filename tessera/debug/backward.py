"""Follows autograd: which forward line a node of the backward belongs to, and what comes out of it.

A node computes its gradient in several operations, and an intermediate result that is not finite may be masked by the
next (the norm of a zero vector). So what is found while a node runs waits until its gradient is there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch

from tessera import torch_internals
from tessera.debug.place import Place
from tessera.debug.ranges import is_finite
from tessera.errors import NonFiniteValueError

_MOST_PLACES = 200_000  # of the latest forward operations; nodes that were seen keep their own
_MODES = itertools.count()
Computes = Callable[[Any, tuple[Any, ...], dict[str, Any], str], Any]  # operator, arguments, layer -> result


class Backward:
    """The nodes that were seen by one mode.

    Args:
        report: is called with what was born, when it leaves the node.
    """

    def __init__(self, report: Callable[[NonFiniteValueError], None]) -> None:
        self._report = report
        self._key = f"tessera.debug.{next(_MODES)}"  # among the metadata of a node
        self._places: dict[int, Place] = {}
        self._computes: dict[int, Computes] = {}  # how the forward of a node was computed, if otherwise than usual
        self._waiting: dict[int, NonFiniteValueError] = {}
        self._numbers = itertools.count(1)
        self._handles: list[Any] = []
        self._limit = 10_000

    def forward(self, place: Place, computes: Computes | None = None) -> None:
        """An operation runs at ``place``: the node that autograd made for it, if it made one, belongs there."""
        self._places.setdefault(torch_internals.latest_node(), place)
        if computes is not None:
            self._computes.setdefault(torch_internals.latest_node(), computes)
        if len(self._places) > _MOST_PLACES:
            self._places = dict(itertools.islice(self._places.items(), _MOST_PLACES // 2, None))
            self._computes = {number: how for number, how in self._computes.items() if number in self._places}

    def follow(self, node: Any, *, runs: bool = False) -> None:
        """Look on at ``node`` and all that it leads to; at a node that ``runs`` already, only at what follows."""
        waiting = [node]
        while waiting:
            each = waiting.pop()
            if each is None or self._key in each.metadata:
                continue
            following = [after for after, _ in each.next_functions]
            number = next(self._numbers) if following and not (runs and each is node) else 0
            each.metadata[self._key] = number, self._places.get(torch_internals.node_number(each))
            if number:
                # The hook does not hold the node: node and hook would keep each other for good.
                self._handles.append(each.register_hook(functools.partial(self._leaves, number)))
            waiting += following
        if len(self._handles) > self._limit:
            self._handles = [h for h in self._handles if h.hooks_dict_ref() is not None]
            self._limit = max(10_000, 2 * len(self._handles))

    def place(self, node: Any) -> Place | None:
        """Where the forward of ``node`` stood, if that was seen."""
        _, place = node.metadata.get(self._key, (0, None))
        return place or self._places.get(torch_internals.node_number(node))

    def computed(self, node: Any) -> Computes | None:
        """How the forward of ``node`` was computed; None: as PyTorch does."""
        return self._computes.get(torch_internals.node_number(node)) if self._computes else None

    def bore(self, node: Any, error: NonFiniteValueError) -> None:
        """Something was born while ``node`` ran."""
        number, _ = node.metadata.get(self._key, (0, None))
        if number:
            self._waiting.setdefault(number, error)
        else:  # it ran before anybody looked on, or stores a gradient: nothing follows that could mask it
            self._report(error)

    def _leaves(self, number: int, made: tuple[Any, ...], _: tuple[Any, ...]) -> None:
        error = self._waiting.pop(number, None)
        if error is not None and any(_leaves_it(gradient) for gradient in made if isinstance(gradient, torch.Tensor)):
            self._report(error)

    def close(self) -> None:
        """Take all hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._places.clear()
        self._computes.clear()
        self._waiting.clear()


def _leaves_it(gradient: torch.Tensor) -> bool:
    """Whether what is not finite is in ``gradient``, or may be: inside a transform its values cannot be read."""
    return not torch_internals.has_values(gradient) or not is_finite(gradient)
