"""A weight that trains while it is rounded (Jacob et al., 2018).

Rounding has no gradient: the weight gets that of its rounded value, straight through (Bengio et al., 2013).
"""

from __future__ import annotations

import torch

from tessera.quantize.formats import NumberFormat
from tessera.quantize.quantized_tensor import Choose, Layout, QuantizedTensor, encode, quantize_tensor, scales


class FakeWeight(torch.nn.Module):
    """In the place of a ``QuantizedTensor``: the values are those it would have, the gradient is the weight's own.

    Args:
        weight: copied; the copy is the parameter that trains.
        form, layout, symmetric, choose: as in ``quantize_tensor``; scales follow the weight at every step.
    """

    def __init__(
        self, weight: torch.Tensor, form: NumberFormat, layout: Layout, symmetric: bool, choose: Choose | None
    ) -> None:
        super().__init__()
        self.original = torch.nn.Parameter(weight.detach().clone())
        self.format, self.layout, self.symmetric, self.choose = form, layout, symmetric, choose

    def dequantize(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """The weight rounded, in its shape."""
        weight = self.original
        with torch.no_grad():
            pieces = self.layout.cut(weight.detach().double())
            scale, zero = scales(pieces, self.format, self.layout, symmetric=self.symmetric, choose=self.choose)
            values = self.format.decode(encode(pieces, scale, zero, self.format), torch.float32)
            if zero is not None:
                values = values - zero.unsqueeze(-1).float()
            rounded = self.layout.join(values * scale.unsqueeze(-1).float(), tuple(weight.shape)).to(weight.dtype)
        return (rounded + (weight - weight.detach())).to(dtype or weight.dtype)

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """The rows that ``index`` names."""
        return self.dequantize()[index]

    def quantized(self) -> QuantizedTensor:
        """What training came to."""
        return quantize_tensor(self.original, self.format, self.layout, symmetric=self.symmetric, choose=self.choose)
