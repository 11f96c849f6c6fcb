"""Hyper-parameters of an optimizer as 0-d tensors, so that a schedule or a user who changes one never recompiles.

Every float of a param group (``lr``, each of ``betas``, ``weight_decay`` ...) is a float64 0-d tensor input of the
Program. Everything else (``nesterov``, ``maximize``, a schedule object) is structure: changing it captures anew.
"""

from __future__ import annotations

from typing import Any

import torch

# Which kernel eager torch would pick: says nothing about the arithmetic.
_KERNEL_CHOICE = ("foreach", "fused", "capturable", "differentiable")


class HyperParameters:
    """The floats of an optimizer's param groups and the tensors that carry them into a Program."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._groups = optimizer.param_groups
        self.names: list[str] = []
        self._seen = self._read()
        self._places: list[tuple[int, str, int | None]] = []
        for index, group in enumerate(self._groups):
            for key, value in group.items():
                if isinstance(value, float):
                    self._places.append((index, key, None))
                elif _is_floats(value):
                    self._places += [(index, key, position) for position in range(len(value))]
        self.names = [f"{key}" if p is None else f"{key}[{p}]" for _, key, p in self._places]
        self.values = self._floats()
        self.tensors = [torch.tensor(value, dtype=torch.float64) for value in self.values]

    def refresh(self, holds: Any) -> bool:
        """Bring the tensors up to the groups' present values; False when the Program no longer fits them.

        Args:
            holds: check of new values against what the traced update assumed (``weight_decay != 0`` and the like).
        """
        now = self._read()
        if now == self._seen:
            return True
        if _structure(now) != _structure(self._seen):
            return False
        values = self._floats()
        if not holds(values):
            return False
        for tensor, old, new in zip(self.tensors, self.values, values, strict=True):
            if old != new:
                tensor.fill_(new)
        self._seen, self.values = now, values
        return True

    def groups_with(self, numbers: list[Any]) -> list[dict[str, Any]]:
        """Copies of the param groups (without ``params``) in which ``numbers`` stand for the floats."""
        groups = [
            {key: list(value) if _is_floats(value) else value for key, value in group.items() if key != "params"}
            for group in self._groups
        ]
        for (index, key, position), number in zip(self._places, numbers, strict=True):
            if position is None:
                groups[index][key] = number
            else:
                groups[index][key][position] = number
        return groups

    def _read(self) -> list[list[Any]]:
        # The list of parameters rides along: comparing it to itself is one pointer.
        return [list(group.values()) for group in self._groups]

    def _floats(self) -> list[float]:
        return [
            self._groups[index][key] if position is None else self._groups[index][key][position]
            for index, key, position in self._places
        ]


def _is_floats(value: object) -> bool:
    return isinstance(value, (tuple, list)) and bool(value) and all(isinstance(v, float) for v in value)


def _structure(read: list[list[Any]]) -> list[list[Any]]:
    return [[float if isinstance(v, float) or _is_floats(v) else v for v in group] for group in read]
