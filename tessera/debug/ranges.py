"""What the numbers in a tensor are: its shape, dtype, smallest and largest value, and how many are none."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch

from tessera import torch_internals

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
_PLAIN = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)


@dataclass(frozen=True, slots=True)
class Range:
    """Of one tensor.

    Attributes:
        shape, dtype: of the tensor.
        low, high: the smallest and largest finite value; of a complex tensor, of its parts. None: there are none.
        nan, inf: how many values are NaN, and how many infinite.
        known: whether the values could be read.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    low: float | None = None
    high: float | None = None
    nan: int = 0
    inf: int = 0
    known: bool = True

    @property
    def finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        return not (self.nan or self.inf)

    @property
    def kind(self) -> str:
        """Such as ``float32[8, 512]``."""
        return f"{str(self.dtype).removeprefix('torch.')}{list(self.shape)}"

    @property
    def span(self) -> str:
        """Such as ``in [-3.2, 4.1] with 3 NaN and 2 inf``."""
        if not self.known:
            return ""
        bad = [f"{count:,} {name}" for count, name in ((self.nan, "NaN"), (self.inf, "inf")) if count]
        values = "" if self.low is None else "all " * (self.low == self.high and self.count > 1)
        if self.low is not None and self.high is not None:
            values += f"{self.low:.4g}" if self.low == self.high else f"in [{self.low:.4g}, {self.high:.4g}]"
        if not bad:
            return values or ("empty" if self.count == 0 else "")
        return f"{values} with {' and '.join(bad)}" if values else f"all {' and '.join(bad)}"

    @property
    def count(self) -> int:
        """How many values there are."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return f"{self.kind} {self.span}".rstrip()


@torch.no_grad()
def range_of(tensor: torch.Tensor) -> Range:
    """Read the values; nothing is recorded of it, no gradient and no operation."""
    shape, dtype = tuple(tensor.shape), tensor.dtype
    with torch_internals.outside_of_modes():
        flat = values_of(tensor)
        if flat is None:
            return Range(shape, dtype, known=False)
        if flat.numel() == 0:
            return Range(shape, dtype)
        low, high = (float(value) for value in torch.aminmax(flat))  # NaN if a single value is
        if math.isfinite(low) and math.isfinite(high):
            return Range(shape, dtype, low, high)
        nan, infinite = torch.isnan(flat), torch.isinf(flat)
        good = flat[~(nan | infinite)]
        found = Range(shape, dtype, nan=int(nan.sum()), inf=int(infinite.sum()))
        if not good.numel():
            return found
        low, high = (float(value) for value in torch.aminmax(good))
        return replace(found, low=low, high=high)


@torch.no_grad()
def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite; True where there are no values to be read."""
    with torch_internals.outside_of_modes():
        flat = values_of(tensor)
        return flat is None or bool(torch.isfinite(flat).all())


def values_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """The real numbers in ``tensor``, in a dtype that has comparisons; None where there are none to be read."""
    if type(tensor) not in _PLAIN or tensor.is_meta or tensor.is_quantized or not torch_internals.has_values(tensor):
        return None
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        tensor = _stored(tensor)
    if tensor.dtype.is_complex:
        tensor = torch.view_as_real(tensor.resolve_conj().resolve_neg())
    if tensor.dtype is torch.bool:
        return tensor.to(torch.uint8)
    if tensor.dtype.is_floating_point and tensor.dtype.itemsize == 1:
        return tensor.float()
    if tensor.dtype in _UNSIGNED:  # torch has no comparisons for them
        return tensor.double()
    return tensor


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor.values()


def watchable(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Those that can hold NaN or infinity."""
    return [t for t in tensors if t.dtype.is_floating_point or t.dtype.is_complex]
