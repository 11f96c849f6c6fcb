"""A weight as codes, scales and zero points: ``value = (code - zero_point) * scale``, per tensor, channel or group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tessera import torch_internals
from tessera.errors import QuantizeError
from tessera.quantize.formats import FORMATS, NumberFormat

Choose = Callable[[torch.Tensor, NumberFormat, bool], tuple[torch.Tensor, torch.Tensor]]

_TINY = torch.finfo(torch.float32).tiny


@dataclass(frozen=True)
class Layout:
    """How a weight ``[out, ...]`` is cut into pieces that share a scale.

    Attributes:
        per: ``"tensor"``, ``"channel"`` (one output channel, one row of an embedding) or ``"group"``.
        group: numbers of a channel in a piece; the last piece of a channel may be shorter.
    """

    per: str
    group: int = 0

    def cut(self, weight: torch.Tensor) -> torch.Tensor:
        """``[out, ...]`` -> ``[pieces of out, pieces of a channel, size]``, the last ones filled up with zeros."""
        if self.per == "tensor":
            return weight.reshape(1, 1, -1)
        flat = weight.reshape(weight.shape[0], torch.Size(weight.shape[1:]).numel())
        if self.per == "channel":
            return flat.unsqueeze(1)
        if missing := -flat.shape[1] % self.group:
            flat = torch.nn.functional.pad(flat, (0, missing))
        return flat.unflatten(1, (-1, self.group))

    def join(self, pieces: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """The way back from ``cut``."""
        if self.per == "group":
            pieces = pieces.flatten(1)[:, : torch.Size(shape[1:]).numel()]
        return pieces.reshape(shape)


class QuantizedTensor(torch.nn.Module):
    """A weight in a number format. Its buffers are all there is to save.

    Attributes:
        codes: as many as the weight has numbers, ``[out, in ...]`` flattened to rows; of four bits two in a byte: the
            low halves of a row's bytes are its first half, so that both are read in order.
        scale: ``[pieces of out, pieces of a channel]``; float32, bfloat16 where pieces are groups.
        zero_point: of that shape, int8; None where it is symmetric.
    """

    codes: torch.Tensor
    scale: torch.Tensor
    zero_point: torch.Tensor | None
    _like: torch.Tensor

    def __init__(
        self,
        codes: torch.Tensor,
        scale: torch.Tensor,
        zero_point: torch.Tensor | None,
        *,
        form: NumberFormat,
        layout: Layout,
        shape: tuple[int, ...],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.form, self.layout, self.shape = form.name, layout, shape
        rows = layout.join(codes, shape).reshape(shape[0], torch.Size(shape[1:]).numel())
        self.register_buffer("codes", _pack(rows, form) if form.bits == 4 else rows.contiguous())
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        self.register_buffer("_like", torch.empty(0, dtype=dtype, device=scale.device), persistent=False)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> QuantizedTensor:
        """Moves as any module moves; ``.half()`` and its like change what the weight is given as, and no code."""
        self._like = fn(self._like)
        for name in ("codes", "scale", "zero_point"):
            if (buffer := getattr(self, name)) is not None:
                moved = fn(buffer)
                setattr(self, name, moved if moved.dtype == buffer.dtype else buffer.to(moved.device))
        return self

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the weight is given in."""
        return self._like.dtype

    @property
    def format(self) -> NumberFormat:
        """The number format of the codes."""
        return FORMATS[self.form]

    def unpacked(self) -> torch.Tensor:
        """Codes one each, ``[out, in]``."""
        return _unpack(self.codes, self.format, self._width()) if self.format.bits == 4 else self.codes

    def dequantize(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """The weight in its shape, computed in float32 and rounded to ``dtype`` once."""
        dtype = dtype or self.dtype
        if self.format.integer and torch.compiler.is_exporting():
            values = self._named_values()
            return values if values.dtype == dtype else values.to(dtype)
        if self._halves_have_scales():
            halves = [self._half(high=high).to(dtype) for high in (False, True)]
            return torch.cat(halves, 1).reshape(self.shape)
        return self._values(self.unpacked(), self.shape, self.scale, self.zero_point).to(dtype)

    def _halves_have_scales(self) -> bool:
        """Whether no group of numbers with one scale lies in both halves of a row, but for a group that is the row."""
        half, pieces = self.codes.shape[-1], self.scale.shape[1]
        return self.format.bits == 4 and half > 0 and (pieces == 1 or half % self.layout.group == 0)

    def _half(self, *, high: bool) -> torch.Tensor:
        """``[out, in / 2]`` of the values, which a product can take without the other half."""
        half = self.codes.shape[1]
        if self.format.table:
            codes = self.codes >> 4 if high else self.codes & 15
        else:  # vector instructions shift no bytes, and a detour by int8 would not be vectorized
            codes = (self.codes & 240).float() * 0.0625 if high else (self.codes & 15).float()
            codes = codes + self.format.least
        codes = codes[:, : self._width() - half] if high else codes
        scale, zero_point = self.scale.float(), self.zero_point
        if scale.shape[1] > 1:
            groups = half // self.layout.group
            own = slice(groups, None) if high else slice(groups)
            scale, zero_point = scale[:, own], None if zero_point is None else zero_point[:, own]
        return self._values(codes, tuple(codes.shape), scale, zero_point)

    def _named_values(self) -> torch.Tensor:
        """The same by the operator that files have a name for, so that the codes and not their values are written."""
        zero_point = None if self.zero_point is None else self.zero_point.flatten()
        if self.layout.per == "channel":  # nothing between the codes and the product, which runtimes take together
            codes = self.unpacked().reshape(self.shape)
            return torch_internals.dequantize_rows(codes, self.scale.flatten(), zero_point)
        pieces = self.layout.cut(self.unpacked().reshape(self.shape))
        rows = torch_internals.dequantize_rows(pieces.flatten(0, 1), self.scale.float().flatten(), zero_point)
        return self.layout.join(rows.reshape(pieces.shape), self.shape)

    def rows(self, index: torch.Tensor) -> torch.Tensor:
        """The rows ``[..., in]`` of a weight ``[out, in]`` that ``index`` names; no other row is dequantized."""
        flat = index.reshape(-1)
        chosen = self.codes[flat]
        codes = _unpack(chosen, self.format, self._width()) if self.format.bits == 4 else chosen
        one = self.layout.per == "tensor"
        scale = self.scale if one else self.scale[flat]
        zero_point = self.zero_point if one or self.zero_point is None else self.zero_point[flat]
        values = self._values(codes, (flat.numel(), *self.shape[1:]), scale, zero_point)
        return values.to(self.dtype).reshape(*index.shape, *self.shape[1:])

    def _values(
        self, codes: torch.Tensor, shape: tuple[int, ...], scale: torch.Tensor, zero_point: torch.Tensor | None
    ) -> torch.Tensor:
        values = self.format.decode(self.layout.cut(codes.reshape(shape)), torch.float32)
        if zero_point is not None:
            values = values - zero_point.unsqueeze(-1).float()
        return self.layout.join(values * scale.unsqueeze(-1).float(), shape)

    def extra_repr(self) -> str:
        return f"{list(self.shape)}, {self.form}, per {self.layout.per}" + (
            f" of {self.layout.group}" if self.layout.per == "group" else ""
        )

    def _width(self) -> int:
        return torch.Size(self.shape[1:]).numel()


def quantize_tensor(
    weight: torch.Tensor, form: NumberFormat, layout: Layout, *, symmetric: bool = True, choose: Choose | None = None
) -> QuantizedTensor:
    """Round ``weight`` to the nearest values of ``form``.

    Args:
        weight: float, any shape; its first dimension is the channels.
        form: the number format.
        layout: what shares a scale.
        symmetric: no zero point: zero is in the middle.
        choose: from pieces ``[a, b, size]`` the range ``[a, b]`` each of them is to have; their extremes if left out.

    Raises:
        QuantizeError: the weight holds NaN or infinity, is not made of real numbers, or is too large to be rounded.
    """
    if not weight.is_floating_point():
        raise QuantizeError(
            f"A weight of dtype {weight.dtype} was to be quantized.",
            "Weights are made of real floating point numbers.",
            "Leave the layer out with Rule('its path', weight=None) before the other rules.",
        )
    if not weight.isfinite().all():
        raise QuantizeError(
            "A weight holds NaN or infinity.",
            "A scale can only be found for finite numbers.",
            "Load weights of a training that did not diverge, or leave the layer out: Rule('its path', weight=None).",
        )
    values = weight.detach().double()
    pieces = layout.cut(values)
    scale, zero_point = scales(pieces, form, layout, symmetric=symmetric, choose=choose)
    codes = encode(pieces, scale, zero_point, form)
    made = QuantizedTensor(
        codes, scale, zero_point, form=form, layout=layout, shape=tuple(weight.shape), dtype=weight.dtype
    )
    if not made.dequantize().isfinite().all():
        raise QuantizeError(
            f"A weight reaches {weight.abs().max():.3g}, from where {form.name} rounds up to infinity.",
            f"Rounded weights are numbers of {weight.dtype}.",
            "Leave the layer out: Rule('its path', weight=None).",
        )
    return made


def scales(
    pieces: torch.Tensor, form: NumberFormat, layout: Layout, *, symmetric: bool, choose: Choose | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Scale and zero point ``[a, b]`` for pieces ``[a, b, size]`` of finite numbers."""
    if not pieces.shape[-1]:
        least = largest = pieces.new_zeros(pieces.shape[:-1])
    else:
        least, largest = choose(pieces, form, symmetric) if choose else (pieces.amin(-1), pieces.amax(-1))
    if symmetric:
        scale = torch.maximum(largest.abs(), least.abs()) / form.largest
    else:
        least, largest = least.clamp(max=0), largest.clamp(min=0)  # zero itself is kept exactly: padding is zeros
        scale = (largest - least) / (form.largest - form.least)
    scale = _stored(scale, form, layout)
    if symmetric:
        return scale, None
    return scale, (form.least - least / scale.double()).round().clamp(form.least, form.largest).to(torch.int8)


def encode(
    pieces: torch.Tensor, scale: torch.Tensor, zero_point: torch.Tensor | None, form: NumberFormat
) -> torch.Tensor:
    """Nearest codes for pieces ``[a, b, size]``."""
    ratio = pieces / scale.to(pieces.dtype).unsqueeze(-1)
    if zero_point is None:
        return form.encode(ratio, least=-form.largest)
    return form.encode(ratio.round() + zero_point.to(pieces.dtype).unsqueeze(-1))


def _stored(scale: torch.Tensor, form: NumberFormat, layout: Layout) -> torch.Tensor:
    """The scale as it is kept, never smaller than asked for: then the largest is not cut off."""
    if form.power_of_two:
        return torch.exp2(scale.clamp(min=_TINY).log2().ceil()).to(torch.bfloat16)
    dtype = torch.bfloat16 if layout.per == "group" else torch.float32
    kept = scale.clamp(min=_TINY).to(dtype)
    above = torch.nextafter(kept, torch.full_like(kept, float("inf")))
    return torch.where((kept.double() < scale) & above.isfinite(), above, kept)


def _pack(codes: torch.Tensor, form: NumberFormat) -> torch.Tensor:
    """``[rows, n]`` of four bits -> uint8 ``[rows, ceil(n / 2)]``, the first half of a row in the low bits."""
    unsigned = (codes if form.table else codes - int(form.least)).to(torch.uint8)
    unsigned = torch.nn.functional.pad(unsigned, (0, unsigned.shape[1] % 2))
    low, high = unsigned.chunk(2, 1) if unsigned.shape[1] else (unsigned, unsigned)
    return low | (high << 4)


def _unpack(packed: torch.Tensor, form: NumberFormat, width: int) -> torch.Tensor:
    codes = torch.cat((packed & 15, packed >> 4), -1)[:, :width].to(torch.int8)
    return codes if form.table else codes + int(form.least)
