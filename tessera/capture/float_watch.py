"""Floats that a capture takes for others, and Dynamo does not guard.

-0.0 equals 0.0, but has another sign; and a float beyond float32, or beyond float16 where there are tensors of that, is
infinity where a kernel holds it as a tensor, while PyTorch refuses it. A call with one of them runs as plain Python.
"""

from __future__ import annotations

import ast
import contextlib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from tessera import torch_internals
from tessera.capture.assumptions import CannotFollow, Globals, parsed
from tessera.capture.step_down import RunsEagerlyOnce

NEGATIVE_ZERO = "a float is -0.0, which a capture takes for 0.0"
TOO_LARGE = "a float is larger than the numbers of a tensor, and a kernel takes it for infinity"
LARGEST = torch.finfo(torch.float32).max

Getter = Callable[[Mapping[str, Any]], Any]


class FloatWatch:
    """The floats that one capture read, and where they come from.

    Args:
        guards: of the capture.
        names: the globals of the captured function.
        largest: the largest float that a tensor can be computed with.
    """

    def __init__(
        self, guards: Sequence[torch_internals.Guard], names: Mapping[str, Any], largest: float = LARGEST
    ) -> None:
        self._largest = largest
        found: dict[str, tuple[Getter, bool]] = {}
        for guard in guards:
            if not guard.has_value or type(guard.value) is not float or guard.name in found:
                continue
            if guard.guard_type == "CONSTANT_MATCH" and guard.value != 0.0:  # no other float is equal to it
                continue
            with contextlib.suppress(CannotFollow):
                found[guard.name] = getter(parsed(guard.name), Globals(names, {})), _is_negative_zero(guard.value)
        self._those = list(found.values())

    def refuses(self, values: Mapping[str, Any]) -> str:
        """Why the capture would compute with another float than one behind ``values``; its guards let them pass."""
        for get, negative_zero in self._those:
            value = get(values)
            if value == 0.0:
                if _is_negative_zero(value) is not negative_zero:
                    return NEGATIVE_ZERO
            elif _is_too_large(value, self._largest):
                return TOO_LARGE
        return ""


def refuse_odd_floats(args: Sequence[Any]) -> None:
    """No capture can be made of a call with such a float.

    Raises:
        RunsEagerlyOnce: there is one among the arguments.
    """
    values = torch_internals.flattened(args)[0]
    half = any(isinstance(value, torch.Tensor) and value.dtype is torch.float16 for value in values)
    largest = torch.finfo(torch.float16).max if half else LARGEST
    for value in values:
        if type(value) is float:
            if _is_negative_zero(value):
                raise RunsEagerlyOnce(NEGATIVE_ZERO)
            if _is_too_large(value, largest):
                raise RunsEagerlyOnce(TOO_LARGE)


def _is_negative_zero(value: float) -> bool:
    return value == 0.0 and math.copysign(1.0, value) < 0


def _is_too_large(value: float, largest: float) -> bool:
    return not -largest <= value <= largest and math.isfinite(value)


def getter(node: ast.expr, names: Globals) -> Getter:
    """What follows an expression over the arguments and globals.

    Raises:
        CannotFollow: it calls something.
    """
    match node:
        case ast.Name("G"):
            return lambda _: names
        case ast.Name(name):
            return operator.itemgetter(name)
        case ast.Attribute(of, name):
            owner = getter(of, names)
            return lambda values: getattr(owner(values), name)
        case ast.Subscript(of, key):
            owner, index = getter(of, names), ast.literal_eval(key)
            return lambda values: owner(values)[index]
    raise CannotFollow(ast.unparse(node))
