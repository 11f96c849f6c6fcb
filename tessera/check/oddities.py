"""What a run does that nobody means: an edit after which there is more of it than after another is less likely.

x.view(b, h, p, c, p)                   # of [b, c, h * p, p]: parts of two dimensions are mixed
torch.zeros(d).index_add(0, group, x)   # where `group` counts the rows of another tensor, of which there are n
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tessera.check.call import Call
from tessera.check.pointless import pointless
from tessera.check.run import Outcome
from tessera.errors import SourceLine

_SPREAD = 0.4  # more, where tensors are laid out against each other that are not with another edit
_POINTLESS = 0.3  # more, where two tensors are laid out for each other in vain
_MIXED = 0.3  # more, where a new shape takes parts of two dimensions together
_TWO_COUNTS = 0.3  # more, where one index counts along two sizes


def odd(outcome: Outcome) -> tuple[int, ...]:
    """How many there are of each kind."""
    return tuple(count(outcome) for _, count in _KINDS)


def dearer(of_one: Sequence[int], least: Sequence[int]) -> float:
    """What an edit costs more for what its run has more of than ``least``, in edits of one number."""
    kinds = zip(_KINDS, of_one, least, strict=True)
    return sum(cost for (cost, _), mine, other in kinds if mine > other)


def fewest(of_all: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Of each kind what the run has that has the fewest."""
    return tuple(map(min, zip(*of_all, strict=True)))


def _spreads(outcome: Outcome) -> int:
    """How many lines lay two tensors out against each other: [B, D] - [B] is [B, D, B] where one has a 1 too many."""
    return len({call.where for call in outcome.history.calls if outcome.history.spreads(call)})


def _mixes(outcome: Outcome) -> int:
    """How many lines give a tensor a shape that takes parts of two dimensions together."""
    return len({call.where for call in outcome.history.calls if _is_mixed(call, outcome)})


def _is_mixed(call: Call, outcome: Outcome) -> bool:
    if call.name not in NEW_SHAPES or not call.tensors or not isinstance(call.result, torch.Tensor):
        return False
    shapes = [list(map(outcome.world.number, tensor.shape)) for tensor in (call.tensors[0], call.result)]
    if any(size is None or size == 0 for shape in shapes for size in shape):
        return False
    return mixes(*shapes)


def mixes(before: Sequence[int | None], behind: Sequence[int | None]) -> bool:
    """Whether sizes become others, and not by some dimensions becoming one or one becoming some."""
    given, made = ([size for size in shape if size and size != 1] for shape in (before, behind))
    while given and made:
        left, right, parts = given.pop(0), made.pop(0), [1, 1]
        while left != right:
            at, rest = (0, given) if left < right else (1, made)
            if not rest:
                return False
            left, right = (left * rest.pop(0), right) if at == 0 else (left, right * rest.pop(0))
            parts[at] += 1
        if min(parts) > 1:
            return True
    return False


def _counts_twice(outcome: Outcome) -> int:
    """How many indices count along two sizes."""
    along: dict[int, set[Any]] = {}
    for call in outcome.history.calls:
        for index, size in _indexed(call):
            along.setdefault(id(index), set()).add(outcome.world.number(size))
    return sum(len(sizes - {None}) > 1 for sizes in along.values())


def _indexed(call: Call) -> list[tuple[torch.Tensor, Any]]:
    """Indices of a call, with the sizes of the dimensions that they count along."""
    match call.args:
        case (torch.Tensor() as given, int() as axis, torch.Tensor() as index, *_) if call.name in _ALONG_AN_AXIS:
            return [(index, given.shape[axis])] if -given.dim() <= axis < given.dim() else []
        case (torch.Tensor() as given, index) if call.name == "__getitem__":
            items = index if isinstance(index, tuple) else (index,)
            if any(item is None or item is ... for item in items):
                return []
            pairs = zip(items, given.shape, strict=False)
            return [(one, size) for one, size in pairs if isinstance(one, torch.Tensor) and one.dtype != torch.bool]
    return []


def gives_back(outcome: Outcome) -> set[SourceLine]:
    """Lines that give a tensor the shape back which it had before another was made of it: they are meant so."""
    found = set()
    calls = outcome.history.calls
    for at, call in enumerate(calls):
        made = call.result
        if call.where is None or call.name not in NEW_SHAPES or not call.tensors or not isinstance(made, torch.Tensor):
            continue
        before = [tensor for one in calls[:at] for tensor in (one.result, *one.tensors)]
        alike = [one for one in before if isinstance(one, torch.Tensor) and one.shape == made.shape]
        if (
            made.dim() >= _DEEP
            and call.tensors[0].shape != made.shape
            and any(outcome.history.comes_of(call.tensors, one) for one in alike)
        ):
            found.add(call.where)
    return found


_DEEP = 4  # dimensions; of fewer many tensors have the same by chance
NEW_SHAPES = ("view", "reshape", "unflatten")
_ALONG_AN_AXIS = {"index_add", "index_add_", "index_select", "index_copy", "index_copy_", "index_fill", "index_fill_"}
_KINDS: Sequence[tuple[float, Callable[[Outcome], int]]] = (
    (_SPREAD, _spreads),
    (_POINTLESS, pointless),
    (_MIXED, _mixes),
    (_TWO_COUNTS, _counts_twice),
)
