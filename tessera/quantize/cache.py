"""A key-value cache in small numbers: a code for each number, and a scale for each row, that is a token of a head.

The model's code writes into its buffer as it always did. So a forward that asks for the buffer is given its values as
an ordinary tensor, and when that forward ends, the rows that are other than before are rounded again; a row that
nobody wrote keeps its codes, however often the others are written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera.quantize.formats import FORMATS, NumberFormat

CACHE_FORMATS = ("int8", "fp8_e4m3", "fp8_e5m2")
_TINY = torch.finfo(torch.float32).tiny


class QuantizedCache(torch.nn.Module):
    """Takes the place of a buffer ``[..., channels]`` of floating point numbers.

    Args:
        values: what the buffer holds.
        form: of ``CACHE_FORMATS``.
        persistent: whether it is in the ``state_dict``, as it was.

    Attributes:
        codes: in the shape of the buffer.
        scale: float32 ``[..., 1]``.
    """

    codes: torch.Tensor
    scale: torch.Tensor
    _like: torch.Tensor

    def __init__(self, values: torch.Tensor, form: NumberFormat, *, persistent: bool = True) -> None:
        super().__init__()
        self.form = form.name
        codes, scale = quantize_rows(values, form)
        self.register_buffer("codes", codes, persistent=persistent)
        self.register_buffer("scale", scale, persistent=persistent)
        self.register_buffer("_like", torch.empty(0, dtype=values.dtype, device=values.device), persistent=False)
        self._live: torch.Tensor | None = None  # what a forward reads and writes just now
        self._since = 0  # how many forwards were under way when it was asked for
        self._depth = 0  # how many are

    def values(self) -> torch.Tensor:
        """The numbers, to be read and written until the innermost forward under way ends."""
        if self._live is None:
            self._live, self._since = self.dequantize(), self._depth
        return self._live

    def replace(self, values: torch.Tensor) -> None:
        """Another tensor is the buffer now, of any shape."""
        self._live, self._since = values, self._depth

    def enter(self) -> None:
        """A forward begins that may ask for the values."""
        if self._depth == 0:
            self.settle()  # what was written between calls, as a cache is emptied
        self._depth += 1

    def leave(self) -> None:
        """It ends."""
        self._depth -= 1
        if self._since > self._depth:
            self.settle()

    def settle(self) -> None:
        """Round what was written."""
        if self._live is not None:
            live, self._live = self._live, None
            self._write(live.detach())
        self._since = 0

    def dequantize(self) -> torch.Tensor:
        """The numbers in the buffer's shape and dtype."""
        return (self.codes.float() * self.scale).to(self._like.dtype)

    def _write(self, values: torch.Tensor) -> None:
        with torch.no_grad():
            codes, scale = quantize_rows(values, FORMATS[self.form])
            if codes.shape != self.codes.shape or values.dtype != self._like.dtype:
                self.codes, self.scale, self._like = codes, scale, values.new_empty(0)
                return
            written = (values != self.dequantize()).any(-1, keepdim=True)
            self.codes.copy_(torch.where(written, codes, self.codes))
            self.scale.copy_(torch.where(written, scale, self.scale))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> QuantizedCache:
        """Moves as any module moves; ``.half()`` and its like change what the values are given as."""
        self.settle()
        self._like = fn(self._like)
        for name in ("codes", "scale"):
            buffer = getattr(self, name)
            moved = fn(buffer)
            setattr(self, name, moved if moved.dtype == buffer.dtype else buffer.to(moved.device))
        return self

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.settle()
        super()._save_to_state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._live = None
        super()._load_from_state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        return f"{list(self.codes.shape)}, {self.form} per row"


def quantize_rows(values: torch.Tensor, form: NumberFormat) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes in the shape of ``values``, and the scale ``[..., 1]`` that puts a row's largest at the largest code.

    So what codes stand for is rounded to those codes again.
    """
    numbers = values.float()
    scale = (numbers.abs().amax(-1, keepdim=True) / form.largest).clamp(min=_TINY)
    return form.encode(numbers / scale, least=-form.largest), scale
