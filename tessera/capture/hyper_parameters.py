"""Hyper-parameters of an optimizer as tensors, so that a schedule or a user who changes one never recompiles.

Every float of a param group (``lr``, each of ``betas``, ``weight_decay`` ...) is a float64 0-d tensor input of the
Program; a tensor (``lr=torch.tensor(1e-3)``) is an input itself. Everything else (``nesterov``, a schedule object,
which parameters a group holds) is structure: changing it captures anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Place = tuple[int, str, int | None]  # param group, key, position within a tuple of floats


class HyperParameters:
    """The numbers of an optimizer's param groups and the tensors that carry them into a Program.

    Attributes:
        names: of ``tensors``, as the Report shows them.
        values: the floats as last read; they come first in ``tensors``, the user's own tensors follow.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self._floats: list[Place] = []
        self._own_tensors: list[Place] = []
        for index, group in enumerate(optimizer.param_groups):
            for key, value in group.items():
                if isinstance(value, float):
                    self._floats.append((index, key, None))
                elif isinstance(value, torch.Tensor):
                    self._own_tensors.append((index, key, None))
                elif _is_floats(value):
                    self._floats += [(index, key, position) for position in range(len(value))]
        self._seen = self._read()
        self.names = [key if p is None else f"{key}[{p}]" for _, key, p in (*self._floats, *self._own_tensors)]
        self.values: list[float] = [self._at(place) for place in self._floats]
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
        if _structure(now) != _structure(self._seen):
            return False
        values = [self._at(place) for place in self._floats]
        if not holds(values):
            return False
        for tensor, old, new in zip(self.tensors, self.values, values, strict=False):
            if old != new:
                tensor.fill_(new)
        self._seen, self.values = now, values
        return True

    def groups_with(self, numbers: Sequence[Any]) -> list[dict[str, Any]]:
        """Copies of the param groups (without ``params``) in which ``numbers`` stand for ``tensors``, one for one."""
        groups = [
            {key: list(value) if _is_floats(value) else value for key, value in group.items() if key != "params"}
            for group in self._optimizer.param_groups
        ]
        for (index, key, position), number in zip((*self._floats, *self._own_tensors), numbers, strict=True):
            if position is None:
                groups[index][key] = number
            else:
                groups[index][key][position] = number
        return groups

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


def _is_floats(value: object) -> bool:
    return isinstance(value, (tuple, list)) and bool(value) and all(isinstance(v, float) for v in value)


def _structure(read: list[list[Any]]) -> list[list[Any]]:
    return [[len(v) if _is_floats(v) else float if isinstance(v, float) else v for v in group] for group in read]
