"""The error for a value that was born not finite: line, layer, what it was given, what to write instead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from tessera import torch_internals
from tessera.debug.born import Birth
from tessera.debug.causes import backward_cause, forward_cause
from tessera.debug.names import name_of
from tessera.debug.operation import Operation
from tessera.debug.place import Here, variables
from tessera.debug.ranges import Range, range_of, watchable
from tessera.errors import NonFiniteValueError

if TYPE_CHECKING:
    from tessera.debug.mode import DebugMode
    from tessera.debug.watching import Call


def birth_error(
    birth: Birth,
    operation: Operation,
    call: Call,
    results: Sequence[torch.Tensor],
    node: Any,
    spot: Here,
    mode: DebugMode,
) -> NonFiniteValueError:
    """To be raised; ``node`` is that of the backward, if it was born inside one."""
    place, total = operation.place, results[birth.result].numel()
    operands = _operands(call, mode, {} if node is not None else variables())
    count = min(birth.count, total)  # of a complex number both parts may be
    what = f"{count:,} {birth.kind}" if total > 1 else birth.kind
    of = f" among {total:,} values" if total > 1 else ""
    layer = f" in the layer {place.layer}" if place.layer else ""
    name = call.operator.overloadpacket.__name__
    if node is not None:
        line = place.expression if mode.backward.place(node) else "a line outside of the block"
        received = f"The backward of {line}{layer} bore {what}{of}: {operation.name} in {node.name()}."
        cause = backward_cause(node.name(), birth.kind, [r for _, r in operands])
    else:
        doing = f"{operation.name} bore {what}{of}"
        received = f"{doing}{_during(operation, spot)}: {place.expression or operation.name}{layer}."
        infinite = any(isinstance(v, float) and math.isinf(v) for v in call.numbers())
        cause = forward_cause(name, birth.kind, [r for _, r in operands], infinite=infinite)
    given = ", ".join(f"{each} {found}" for each, found in operands) or "no tensors"
    error = NonFiniteValueError(received, f"It was given {given}. {cause.why}", cause.instead, place.where)
    error.operator, error.kind, error.phase = operation.name, birth.kind, operation.phase
    error.layer, error.expression = place.layer, place.expression
    return error


def _during(operation: Operation, spot: Here) -> str:
    if operation.phase == "update":
        return f" in the update by {type(spot.optimizer).__name__}"
    return " in the backward" if operation.phase == "backward" else ""


def _operands(call: Call, mode: DebugMode, known: Mapping[str, Any]) -> list[tuple[str, Range]]:
    with torch_internals.outside_of_modes():
        tensors = [(name, t) for name, t in call.named() if watchable([t])]
        return [(name_of(t, mode, known) or name, range_of(call.copy(t))) for name, t in tensors[:_MOST]]


_MOST = 6  # tensors that a message describes; an optimizer takes hundreds at once
