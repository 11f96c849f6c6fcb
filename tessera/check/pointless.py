"""Lines that do nothing: who writes one means something else, and an edit that makes one is none.

x = F.max_pool2d(x, 1)                  # every number is the largest of itself
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tessera.check.call import Call
from tessera.check.rewrites import REDUCTIONS, lays_out
from tessera.check.run import Outcome
from tessera.errors import SourceLine


def pointless(outcome: Outcome) -> int:
    """How many lines of a run do what does nothing.

    They lay two tensors out for each other and both alike, ``a[:, None] < b[:, None]`` needs no None; or they sum over
    what is one, pool over one, squeeze what is more, pad with nothing.
    """
    calls = outcome.history.calls
    return len({call.where for call in calls if does_nothing(call) or _is_alike(call, outcome)})


def suspects(outcome: Outcome) -> set[SourceLine]:
    """Lines of a run that has something wrong which do nothing; a new shape that is the old one too."""
    calls = outcome.history.calls
    kinds = (does_nothing, _turns_nothing, _is_shaped_as_it_was)
    return {call.where for call in calls if call.where and any(kind(call) for kind in kinds)}


def _turns_nothing(call: Call) -> bool:
    """Whether the order of dimensions is what it was; an edit that makes it so leaves a call out."""
    given = list(call.args[1:])
    match call.name:
        case "permute":
            axes = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
            return list(axes) == list(range(len(axes)))
        case "transpose" | "swapaxes" if len(given) == 2 and call.tensors:
            return bool(given[0] % call.tensors[0].dim() == given[1] % call.tensors[0].dim())
    return False


def _is_shaped_as_it_was(call: Call) -> bool:
    sizes = [size for one in call.args[1:] for size in _numbers(one)]
    if call.name not in ("view", "reshape") or len(sizes) < 2 or not isinstance(call.result, torch.Tensor):
        return False
    return list(call.result.shape) == list(call.tensors[0].shape) and all(size != 1 for size in call.result.shape)


def does_nothing(call: Call) -> bool:
    """Whether a call gives what it is given, by how it is written."""
    given = list(call.args[1:])
    match call.name:
        case "pad":
            return not any(_numbers(given[0] if given else call.kwargs.get("pad")) or [1])
        case "squeeze" if call.tensors and given and type(given[0]) is int:
            return bool(call.tensors[0].shape[given[0]] != 1)
        case "cat" | "concat" if call.args:
            return isinstance(call.args[0], (list, tuple)) and len(call.args[0]) == 1
        case name if "_pool" in name and "adaptive" not in name:
            kernel = _numbers(given[0] if given else call.kwargs.get("kernel_size"))
            return bool(kernel) and all(size == 1 for size in kernel)
    return _reduces_one(call)


def _numbers(given: Any) -> list[Any]:
    return list(given) if isinstance(given, (tuple, list)) else [] if given is None else [given]


def _reduces_one(call: Call) -> bool:
    """Whether a call sums, or the like, over dimensions of size 1 alone."""
    axes = _numbers(call.kwargs.get("dim", call.args[1] if len(call.args) > 1 else None))
    shape: Sequence[Any] = call.tensors[0].shape if call.tensors and call.name in REDUCTIONS else ()
    if not axes or not shape or any(type(axis) is not int for axis in axes):
        return False
    return all(type(shape[axis]) is int and shape[axis] == 1 for axis in axes)


def _is_alike(call: Call, outcome: Outcome) -> bool:
    made = [outcome.history.made_by(tensor) for tensor in call.tensors]
    laid = [one.result for one in made if one is not None and (lays_out(one) or _adds(one))]
    return len(laid) == 2 and any(a == b == 1 for a, b in zip(*(reversed(one.shape) for one in laid), strict=False))


def _adds(call: Call) -> bool:
    """Whether a call is an index with a None in it."""
    index = call.args[1] if call.name == "__getitem__" else ()
    return any(item is None for item in (index if isinstance(index, tuple) else (index,)))
