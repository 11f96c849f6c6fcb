"""Hyper-parameters of an optimizer as tensors, so that a schedule or a user who changes one never recompiles.

Every number of a param group (``lr``, each of ``betas``, ``weight_decay`` ...) is a float64 0-d tensor input of the
Program; a tensor (``lr=torch.tensor(1e-3)``) is an input itself. A whole number counts too where a float is meant:
``lr=1``. Everything else (``nesterov``, a number of iterations, a None, which parameters a group holds) is structure:
changing it captures anew.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import torch

Place = tuple[int, str, int | None]  # param group, key, position within a tuple of numbers


class HyperParameters:
    """The numbers of an optimizer's param groups and the tensors that carry them into a Program.

    Attributes:
        names: of ``tensors``, as the Report shows them.
        values: the numbers as last read; they come first in ``tensors``, the user's own tensors follow.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._numbers: list[Place] = []
        self._own_tensors: list[Place] = []
        whole = _means_float(optimizer)
        for index, group in enumerate(optimizer.param_groups):
            for key, value in group.items():
                if isinstance(value, torch.Tensor):
                    self._own_tensors.append((index, key, None))
                elif _is_float(value) or (_is_number(value) and key in whole):
                    self._numbers.append((index, key, None))
                elif _is_numbers(value) and (key in whole or any(map(_is_float, value))):
                    self._numbers += [(index, key, at) for at, v in enumerate(value) if v is not None]
        self._keys = {(index, key) for index, key, _ in self._numbers}
        self._seen, self._structure = self._read(), self._read_structure()
        self.names = [key if p is None else f"{key}[{p}]" for _, key, p in (*self._numbers, *self._own_tensors)]
        self.values: list[float] = [float(self._at(place)) for place in self._numbers]
        self.tensors = [torch.tensor(value, dtype=torch.float64) for value in self.values]
        self.tensors += [self._at(place) for place in self._own_tensors]

    def refresh(self, holds: Callable[[Sequence[float]], bool]) -> bool:
        """Bring the tensors up to the groups' present values; False when the Program no longer fits them.

        Args:
            holds: check of new values against what the recorded update assumed (``weight_decay != 0`` and the like).
        """
        if self._own_tensors and not self._holds_own_tensors():
            return False
        now = self._read()
        if now == self._seen:
            return True
        if self._read_structure() != self._structure:
            return False
        values = [float(self._at(place)) for place in self._numbers]
        if not holds(values):
            return False
        for tensor, old, new in zip(self.tensors, self.values, values, strict=False):
            if old != new:
                tensor.fill_(new)
        self._seen, self.values = now, values
        return True

    def groups_with(self, given: Sequence[Any]) -> list[dict[str, Any]]:
        """Copies of the param groups (without ``params``) in which ``given`` stand for ``tensors``, one for one."""
        groups = [
            {
                key: list(value) if (index, key) in self._keys and _is_numbers(value) else value
                for key, value in group.items()
                if key != "params"
            }
            for index, group in enumerate(self._optimizer.param_groups)
        ]
        for (index, key, position), number in zip((*self._numbers, *self._own_tensors), given, strict=True):
            if position is None:
                groups[index][key] = number
            else:
                groups[index][key][position] = number
        return groups

    def structure(self) -> list[dict[str, Any]]:
        """The groups without their parameters, with ``float`` for each number and ``torch.Tensor`` for each tensor."""
        return [
            {
                key: torch.Tensor
                if isinstance(value, torch.Tensor)
                else _kind(value)
                if (index, key) in self._keys
                else value
                for key, value in group.items()
                if key not in ("params", "param_names")
            }
            for index, group in enumerate(self._optimizer.param_groups)
        ]

    def _at(self, place: Place) -> Any:
        index, key, position = place
        value = self._optimizer.param_groups[index][key]
        return value if position is None else value[position]

    def _holds_own_tensors(self) -> bool:
        groups, tensors = self._optimizer.param_groups, self.tensors[len(self.values) :]
        return all(
            index < len(groups) and groups[index].get(key) is tensor
            for (index, key, _), tensor in zip(self._own_tensors, tensors, strict=True)
        )

    def _read(self) -> list[list[Any]]:
        # Which parameters a group holds comes first: lists compare up to the first difference, and two parameters
        # would compare number by number. The list of parameters itself and tensors compare by identity.
        return [[*map(id, group["params"]), *group.values()] for group in self._optimizer.param_groups]

    def _read_structure(self) -> list[list[Any]]:
        return [
            [
                *map(id, group["params"]),
                *(_kind(value) if (index, key) in self._keys else value for key, value in group.items()),
            ]
            for index, group in enumerate(self._optimizer.param_groups)
        ]


def _means_float(optimizer: torch.optim.Optimizer) -> set[str]:
    """The arguments of an optimizer that are floats, as far as its constructor says so: a default or an annotation."""
    arguments = inspect.signature(type(optimizer).__init__).parameters.values()
    return {a.name for a in arguments if isinstance(a.default, float) or "float" in str(a.annotation)}


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)  # those of NumPy too


def _is_float(value: object) -> bool:
    return _is_number(value) and not isinstance(value, numbers.Integral)


def _is_numbers(value: object) -> bool:
    """Whether it is a tuple or list of numbers, some of which may be None (Adafactor's ``eps``)."""
    return (
        isinstance(value, (tuple, list))
        and all(v is None or _is_number(v) for v in value)
        and any(v is not None for v in value)
    )


def _kind(value: object) -> object:
    """What remains of a number, or of a tuple of them, when its value may change."""
    if _is_numbers(value):
        return [v if v is None else float for v in value]  # type: ignore[attr-defined]
    return float if _is_number(value) else value
