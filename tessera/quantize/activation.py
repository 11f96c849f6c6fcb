"""Quantization of what flows into a layer: its scale is found when it runs (dynamic) or was found before (static)."""

from __future__ import annotations

import numpy as np
import torch

from tessera import torch_internals
from tessera.quantize.formats import FORMATS, NumberFormat

_TINY = torch.finfo(torch.float32).tiny


class ActivationQuantizer(torch.nn.Module):
    """Quantizes inputs ``[..., channels]``.

    Dynamic is symmetric with a scale for each row of channels, so one sample's answer does not depend on another's.
    Static has one scale and zero point for all; what lies outside of the calibrated range is cut off.

    Args:
        form: the number format.
        limits: smallest and largest value calibrated; None is dynamic.
        symmetric: for static, whether zero is in the middle.
        axis: the dimension of channels.
    """

    def __init__(
        self, form: NumberFormat, limits: tuple[float, float] | None, *, symmetric: bool = True, axis: int = -1
    ) -> None:
        super().__init__()
        self.form, self.axis = form.name, axis
        self.least = -form.largest if symmetric or not form.integer else form.least
        # Plain numbers, so that compiled and exported code has them as constants.
        self.scale, self.zero_point = (0.0, 0) if limits is None else _static(form, limits, symmetric=symmetric)

    @property
    def format(self) -> NumberFormat:
        """The number format of the codes."""
        return FORMATS[self.form]

    @property
    def static(self) -> bool:
        """Whether the scale was calibrated."""
        return self.scale > 0

    def quantize(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Codes in the shape of ``x`` and the scale that goes with them, float32 ``[..., 1]`` where it is dynamic."""
        values = x.float()
        if self.static:
            ratio = values / self.scale
            codes = ratio.round() + self.zero_point if self.format.integer else ratio
            return codes.clamp(self.least, self.format.largest).to(self.format.dtype), self.scale
        scale = (values.abs().amax(self.axis, keepdim=True) / self.format.largest).clamp(min=_TINY)
        return self.format.encode(values / scale, least=self.least), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` rounded to what the format can say, in its own dtype; the gradient goes straight through."""
        if torch.is_grad_enabled() and x.requires_grad:
            return self._round_trip(x.detach()) + (x - x.detach())
        return self._round_trip(x)

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        if self.static and self.form == "int8" and torch.compiler.is_exporting():
            return torch_internals.quantize_dequantize(x, self.scale, self.zero_point, int(self.least))
        codes, scale = self.quantize(x)
        return ((codes.float() - self.zero_point) * scale).to(x.dtype)

    def get_extra_state(self) -> torch.Tensor:
        return torch.tensor([self.scale, self.zero_point], dtype=torch.float64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        self.scale, self.zero_point = float(state[0]), int(state[1])

    def extra_repr(self) -> str:
        return f"{self.form}, " + (
            f"static: scale {self.scale:.4g}, zero {self.zero_point}" if self.static else "dynamic"
        )


def _static(form: NumberFormat, limits: tuple[float, float], *, symmetric: bool) -> tuple[float, int]:
    least, largest = min(limits[0], 0.0), max(limits[1], 0.0)
    if symmetric or not form.integer:
        scale, zero_point = max(-least, largest) / form.largest, 0
    else:
        scale = (largest - least) / (form.largest - form.least)
        zero_point = round(form.least - least / scale) if scale else 0
    # float32, as every runtime has it
    return float(np.float32(max(scale, _TINY))), int(min(max(zero_point, form.least), form.largest))
