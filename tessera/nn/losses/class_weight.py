"""What every class weighs in a loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import torch

from tessera.errors import LossError

ClassWeights = Mapping[int, float] | Iterable[float] | torch.Tensor


@dataclass(frozen=True)
class ClassWeight:
    """The weights of the classes; equal to another of the same numbers.

    Attributes:
        values: pairs (class, weight), in the order of the classes.
        complete: every class has one; else those that are missing weigh 1.
    """

    values: tuple[tuple[int, float], ...]
    complete: bool
    _classes: torch.Tensor = field(compare=False, repr=False)
    _weights: torch.Tensor = field(compare=False, repr=False)

    @classmethod
    def of(cls, given: ClassWeights, device: torch.device | None = None) -> ClassWeight:
        """Read a dict class -> weight, or a list or tensor ``[classes]``.

        Args:
            device: where the weights will be used.

        Raises:
            LossError: a key is no class number, a weight is no finite number from 0 on, or nothing weighs anything.
        """
        complete = not isinstance(given, Mapping)
        pairs = _pairs(given)
        for number, weight in pairs:
            if not _is_number(number) or not float(number).is_integer() or number < 0:
                raise _wrong(f"the class {number!r}", "Classes are the whole numbers 0, 1, 2, ...")
            if not _is_number(weight) or not math.isfinite(weight) or weight < 0:
                raise _wrong(f"the weight {weight!r} for class {number}", "A weight is a finite number, at least 0.")
        values = tuple(sorted((int(number), float(weight)) for number, weight in pairs))
        if complete and not any(weight for _, weight in values):
            raise _wrong(f"{len(values)} weights and none above 0", "Some class has a weight above 0.")
        numbers = torch.tensor([number for number, _ in values], dtype=torch.int64, device=device)
        weights = torch.tensor([weight for _, weight in values], dtype=torch.float64).to(_dtype_on(device))
        return cls(values, complete, numbers, weights.to(device))

    def tensor(self, classes: int, like: torch.Tensor) -> torch.Tensor:
        """The weights ``[classes]`` in the dtype and on the device of ``like``.

        Raises:
            LossError: they are weights of other classes.
        """
        if self.complete and len(self.values) != classes:
            raise _wrong(f"{len(self.values)} weights", f"The prediction has {classes} classes.")
        if self.values and self.values[-1][0] >= classes:
            raise _wrong(
                f"a weight for class {self.values[-1][0]}", f"The prediction has the classes 0 to {classes - 1}."
            )
        weights = self._weights.to(like)
        if self.complete:
            return weights
        return torch.ones(classes, dtype=like.dtype, device=like.device).index_put(
            (self._classes.to(like.device),), weights
        )


def _pairs(given: object) -> list[tuple[Any, Any]]:
    if isinstance(given, Mapping):
        return [(_plain(number), _plain(weight)) for number, weight in given.items()]
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise _wrong(f"{given!r}", "It is a dict class -> weight, or one weight for each class.")
    if getattr(given, "ndim", 1) != 1:
        raise _wrong("weights of several dimensions", "A tensor of weights has the shape [classes].")
    return list(enumerate(_plain(weight) for weight in given))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """NumPy's and torch's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


def _dtype_on(device: torch.device | None) -> torch.dtype:
    return torch.float32 if device is not None and device.type == "mps" else torch.float64  # mps has no doubles


def _wrong(given: str, expected: str) -> LossError:
    return LossError(f"class_weight has {given}.", expected, "Write for example class_weight={0: 1.0, 1: 4.0}.")
