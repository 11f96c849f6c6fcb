"""What is added to the scores and filled into them, as one mask of the fused operator.

A row may have no place left that is not masked. What is computed then is kept: filled with one large number, its
places count alike and nothing reaches q and k; filled with minus infinity, it is not a number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tessera.backend.attention.axes import Dim
from tessera.backend.attention.constant import constant
from tessera.backend.attention.recognise import Added, Attention, Filled, NotAttention
from tessera.backend.attention.writing import Call, Writer, arranged

_FILLED = -1e38  # in place of a number that is filled in: nothing is left of a place beside one that is not masked
_MASKED = -1e37
_NOTHING_LEFT = -1e8  # likewise of what is added


@dataclass(frozen=True)
class Bias:
    """The mask of the fused operator.

    Attributes:
        mask: what is added to the scores, spread over them; None: nothing.
        causal: whether it is the operator's own causal mask instead.
        alike: the rows whose places are all filled with one number.
        dead: the rows whose places are all minus infinity.
    """

    mask: Any = None
    causal: bool = False
    alike: Any = None
    dead: Any = None


def write_bias(writer: Writer, found: Attention, groups: Sequence[Dim], dtype: torch.dtype) -> Bias:
    """Write the mask for scores of ``groups``; it is looked at now where it depends on no input."""
    if not found.bias:
        return Bias()
    if dtype is torch.float16 or (dtype is torch.bfloat16 and any(isinstance(one, Added) for one in found.bias)):
        raise NotAttention(f"a mask that needs more digits or range than {dtype} has")
    operands = [one.term if isinstance(one, Added) else one.condition for one in found.bias]
    values = [constant(one.node) for one in operands]
    if all(value is not None for value in values):
        looked_at = _Composed(_called, values, found.bias, groups, dtype, -math.inf).mask
        looked_at = looked_at.masked_fill(looked_at < _NOTHING_LEFT, -math.inf)
        masked = looked_at == -math.inf
        if not masked.all(-1).any():
            if not looked_at.any():
                return Bias()
            if _is_causal(looked_at):
                return Bias(causal=True)
            nodes = [writer.value(one.node) for one in operands]
            return Bias(_Composed(writer.call, nodes, found.bias, groups, dtype, -math.inf).mask)
    nodes = [writer.value(one.node) for one in operands]
    mask = _Composed(writer.call, nodes, found.bias, groups, dtype, _FILLED).mask
    fills = [one.value for one in found.bias if isinstance(one, Filled)]
    # A row's softmax stays the same less its largest entry; the kernel's backward needs scores near zero.
    top = writer.call(torch.amax, mask, -1, True)
    mask = writer.call(torch.sub, mask, top)
    alike = dead = None
    if any(math.isfinite(value) for value in fills):
        alike = writer.call(torch.le, top, _MASKED)
    if any(isinstance(one, Added) for one in found.bias) or -math.inf in fills:
        dead = writer.call(torch.eq, top, -math.inf)
        mask = writer.call(torch.where, dead, 0.0, mask)
    return Bias(mask, alike=alike, dead=dead)


def _called(function: Any, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


@dataclass
class _Composed:
    """All that is added and filled in, in order; ``filled`` stands for a finite number that is filled in."""

    call: Call
    values: Sequence[Any]
    bias: Sequence[Added | Filled]
    groups: Sequence[Dim]
    dtype: torch.dtype
    filled: float

    @property
    def mask(self) -> Any:
        mask: Any = None
        for value, one in zip(self.values, self.bias, strict=True):
            if isinstance(one, Added):
                term = arranged(self.call, value, one.term, self.groups, whole=False)
                term = self.call(torch.mul, self.call(torch.Tensor.to, term, self.dtype), one.factor)
                mask = term if mask is None else self.call(torch.add, mask, term)
            else:
                condition = arranged(self.call, value, one.condition, self.groups, whole=False)
                condition = self.call(torch.Tensor.to, condition, torch.bool)
                number = self._number(one.value if math.isinf(one.value) else self.filled, one.condition.node)
                other = self._number(0.0, one.condition.node) if mask is None else mask
                mask = self.call(torch.where, condition, *((number, other) if one.holds else (other, number)))
        return mask

    def _number(self, value: float, beside: Any) -> Any:
        return self.call(torch.full, (), value, dtype=self.dtype, device=beside.meta["val"].device)


def _is_causal(mask: Tensor) -> bool:
    """Whether each place of ``[1, 1, rows, columns]`` is masked if it lies behind its row, and nothing else is done."""
    if mask.shape[:2] != (1, 1):
        return False
    rows, columns = mask.shape[2:]
    expected = torch.zeros(rows, columns, dtype=mask.dtype).masked_fill_(
        torch.ones(rows, columns, dtype=torch.bool).triu_(1), -math.inf
    )
    return rows > 1 and torch.equal(mask[0, 0].cpu(), expected)
