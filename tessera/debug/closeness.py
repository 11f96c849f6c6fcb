"""Whether two results of one computation differ by more than rounding explains.

Rounding is measured, not assumed: by how far the first result is from the same computation in double precision, and,
where somebody tried, by how far it moves when its inputs move by one rounding. What the other result may be off follows
from that, by the ratio of the two precisions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tessera import torch_internals

FACTOR = 16.0  # times the measured rounding: the other result may have been less lucky
_ROUNDINGS = 8.0  # of the largest value: what one order of sums gets exact by chance, another does not


@dataclass(frozen=True)
class Difference:
    """How far one tensor is off, beside what is explained.

    Attributes:
        off: the largest difference from the exact value.
        allowed: how large it may be.
        size: of the largest exact value.
        index: of the worst element.
        value, other: the two results there.
    """

    off: float
    allowed: float
    size: float
    index: tuple[int, ...] = ()
    value: complex = math.nan
    other: complex = math.nan

    @property
    def is_explained(self) -> bool:
        """Whether rounding alone may have done it."""
        return self.off <= self.allowed

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        return f"{_number(self.value)} and {_number(self.other)}{f' at {place}' if place else ''}"


@torch.no_grad()
def difference(
    value: torch.Tensor,
    other: torch.Tensor,
    exact: torch.Tensor,
    precision: float = 0.0,
    moved: float = 0.0,
) -> Difference:
    """Compare ``other`` with ``value``, whose exact value is known.

    Args:
        precision: the coarsest rounding that ``other`` went through, as ``torch.finfo(dtype).eps``, where it is
            coarser than its dtype's.
        moved: how far ``value`` moves when its inputs are rounded once more.

    Returns:
        The difference; infinite where shapes do not agree, or only one of the two is finite.
    """
    with torch_internals.outside_of_modes():
        if value.shape != other.shape:
            return Difference(math.inf, 0.0, 0.0)
        if not value.numel():
            return Difference(0.0, 0.0, 0.0)
        fine, coarse = eps_of(value), max(eps_of(other), precision)
        first, second, true = _wide(value), _wide(other), _wide(exact)
        good = torch.isfinite(first) & torch.isfinite(true)
        same = ~good & ((first == second) | (torch.isnan(first) & torch.isnan(second)))
        size = _largest(true[good])
        own = _largest((first - true)[good])
        off = torch.where(good, (second - true).abs(), torch.where(same, 0.0, math.inf))
        off = torch.where(torch.isnan(off), math.inf, off)
        if not fine:  # whole numbers: what decided them is compared elsewhere
            off = (first != second).double()
        worst = int(off.argmax())
        ratio = max(coarse / fine, 1.0) if fine else 1.0
        allowed = FACTOR * ratio * max(own, moved) + _ROUNDINGS * coarse * size if fine else 0.0
        index = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), first.shape)) if first.dim() else ()
        at = first.flatten()[worst].item(), second.flatten()[worst].item()
        return Difference(float(off.flatten()[worst]), allowed, size, index, *at)


def eps_of(tensor: torch.Tensor) -> float:
    """How coarse its dtype rounds; 0 for whole numbers."""
    dtype = tensor.dtype
    return torch.finfo(dtype).eps if dtype.is_floating_point or dtype.is_complex else 0.0


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64)


def _largest(values: torch.Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0


def _number(value: complex) -> str:
    return f"{value:.6g}"
