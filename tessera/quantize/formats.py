"""The number formats that weights and activations are kept in: which values there are, and how they are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from tessera.errors import QuantizeError

# The 16 quantiles of a normal distribution, scaled to [-1, 1] (Dettmers et al., "QLoRA", 2023, appendix E).
_NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
# Sign, two bits of exponent, one of mantissa (OCP Microscaling Formats specification 1.0, 2023).
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_MXFP4 = (*(-value for value in reversed(_E2M1[1:])), 0.0, *_E2M1)


@dataclass(frozen=True)
class NumberFormat:
    """One format.

    Attributes:
        name: as rules write it.
        bits: of one stored number.
        least, largest: smallest and largest code of an integer format; of a float format -largest is the smallest.
        dtype: of one code; codes of four bits lie two in a byte.
        table: the values of the codes, where they are a list.
        group: numbers that share a scale where a rule does not say; 0 is a whole output channel.
        power_of_two: scales are powers of two.
    """

    name: str
    bits: int
    least: float
    largest: float
    dtype: torch.dtype
    table: tuple[float, ...] = ()
    group: int = 0
    power_of_two: bool = False

    @property
    def integer(self) -> bool:
        """Whether codes are the values themselves, so that they can have a zero point."""
        return not self.dtype.is_floating_point and not self.table

    def encode(self, ratio: torch.Tensor, least: float | None = None) -> torch.Tensor:
        """The nearest codes of ``ratio``, values over their scale in any shape, clamped to what the format has."""
        if self.table:
            values = torch.tensor(self.table, dtype=ratio.dtype, device=ratio.device)
            return torch.bucketize(ratio, (values[1:] + values[:-1]) / 2).to(self.dtype)
        clamped = ratio.clamp(self.least if least is None else least, self.largest)
        return (clamped.round() if self.integer else clamped).to(self.dtype)

    def decode(self, codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The values of ``codes`` in units of the scale."""
        if not self.table:
            return codes.to(dtype)
        if torch.compiler.is_compiling():
            return _chosen(self.table, codes, dtype)
        return torch.tensor(self.table, dtype=dtype, device=codes.device)[codes.int()]


def _chosen(table: tuple[float, ...], codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """``table[codes]`` by choices between two, bit after bit: vector code has choices, and no table to look into."""
    values: list[Any] = list(table)
    bits, bit = codes.int(), 1
    while len(values) > 1:
        odd = (bits & bit) != 0
        values = [*values, values[-1]] if len(values) % 2 else values
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [torch.where(odd, b, a) for a, b in pairs]
        bit *= 2
    return values[0].to(dtype)


_ALL = (
    NumberFormat("int8", 8, -128, 127, torch.int8),
    NumberFormat("int4", 4, -8, 7, torch.int8, group=32),
    NumberFormat("fp8_e4m3", 8, -448.0, 448.0, torch.float8_e4m3fn),
    NumberFormat("fp8_e5m2", 8, -57344.0, 57344.0, torch.float8_e5m2),
    NumberFormat("nf4", 4, -1.0, 1.0, torch.int8, table=_NF4, group=64),
    NumberFormat("mxfp4", 4, -6.0, 6.0, torch.int8, table=_MXFP4, group=32, power_of_two=True),
)
FORMATS = {format.name: format for format in _ALL}
ACTIVATION_FORMATS = ("int8", "int4", "fp8_e4m3", "fp8_e5m2")


def format_named(name: str, names: tuple[str, ...] = tuple(FORMATS)) -> NumberFormat:
    """The format of that name.

    Raises:
        QuantizeError: there is none.
    """
    if name not in names:
        raise QuantizeError(
            f"The number format {name!r} was asked for.",
            f"There are {', '.join(names)}.",
            "Write for example Rule('mlp', weight='int8').",
        )
    return FORMATS[name]
