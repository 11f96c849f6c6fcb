"""What is known of one tensor: its name, shape, dtype, declared dims, range, the line that made it, its parents."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tessera.debug.active import SWITCH
from tessera.debug.names import name_of
from tessera.debug.operation import Operation
from tessera.debug.ranges import Range, range_of
from tessera.errors import SettingError

if TYPE_CHECKING:
    from tessera.debug.mode import DebugMode


@dataclass(frozen=True)
class Described:
    """One tensor; ``print`` it.

    Attributes:
        name: of the parameter or variable, or "".
        range: shape, dtype, smallest and largest value.
        dims: what it was annotated with, such as ``("B", "S", 512)``; () for nothing.
        device: where it is.
        origin: the operation that made it; None for what was there before the block.
        parents: the operations that made what it was made of.
        requires_grad: whether a gradient goes through it.
        gradient: the range of ``tensor.grad``, if it has one.
    """

    name: str
    range: Range
    dims: tuple[str | int, ...]
    device: torch.device
    origin: Operation | None
    parents: tuple[Operation, ...]
    requires_grad: bool
    gradient: Range | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.range.shape

    @property
    def dtype(self) -> torch.dtype:
        return self.range.dtype

    def __str__(self) -> str:
        dims = f" as [{', '.join(map(str, self.dims))}]" if self.dims else ""
        grad = ", requires a gradient" if self.requires_grad else ""
        lines = [f"{self.name or 'tensor'}: {self.range}{dims} on {self.device}{grad}"]
        if self.gradient is not None:
            lines.append(f"  its gradient: {self.gradient}")
        if self.origin is None:
            lines.append("  was there before the block, or is too old for its trace")
        else:
            lines.append(f"  made by #{self.origin.number} {_told(self.origin)}")
        lines += [f"  from #{parent.number} {_told(parent)}" for parent in self.parents]
        return "\n".join(lines)


def describe(tensor: torch.Tensor) -> Described:
    """What is known of ``tensor``; inside ``tessera.debug_mode()`` also where it comes from.

    Raises:
        SettingError: it is no tensor.
    """
    return described(tensor, SWITCH.mode(), depth=2)


def described(tensor: Any, mode: DebugMode | None, *, depth: int) -> Described:
    """See ``describe``; the variables are those of the caller ``depth`` frames up."""
    if not isinstance(tensor, torch.Tensor):
        raise SettingError(
            f"A {type(tensor).__name__} was to be described.",
            "Range and origin are those of a tensor.",
            "Write debug.info(tensor), for one tensor at a time.",
        )
    name = name_of(tensor, mode, sys._getframe(depth).f_locals)  # noqa: SLF001 - the documented way to the caller
    gradient = tensor.grad if tensor.is_leaf else None
    origin = mode.trace.find(mode.origins.number(tensor)) if mode is not None else None
    parents = [mode.trace.find(number) for number in origin.parents] if mode is not None and origin else []
    return Described(
        name,
        range_of(tensor),
        mode.origins.dims(tensor) if mode is not None else (),
        tensor.device,
        origin,
        tuple(parent for parent in parents if parent is not None),
        tensor.requires_grad,
        None if gradient is None else range_of(gradient),
    )


def _told(operation: Operation) -> str:
    result = f" -> {operation.results[0]}" if operation.results else ""
    expression = f": {operation.place.expression}" if operation.place.expression else ""
    return f"{operation.title}{expression}{result} at {operation.place}"
