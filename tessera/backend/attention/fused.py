"""Writes one attention as the fused operator, in the four dimensions that it takes: two of batch, rows, and a head."""

from __future__ import annotations

import torch
from torch import fx

from tessera.backend.attention.axes import Axis, Dim, leaves, settled, size_of
from tessera.backend.attention.bias import write_bias
from tessera.backend.attention.recognise import Added, Attention, NotAttention, Shown
from tessera.backend.attention.writing import Writer, arranged, spread_size

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def write_fused(writer: Writer, found: Attention) -> fx.Node:
    """Write it, and return what has the shape and the strides of the product that it replaces.

    Raises:
        NotAttention: the operator does not compute this.
    """
    sources = [writer.source(one) for one in (found.q, found.k, found.v)]  # may split axes: all that follows are leaves
    inner, columns, own = map(leaves, (found.inner, found.columns, found.own))
    shown = [axis for axis in _axes(found.out) if axis not in own]
    shared = {*_axes(found.k), *_axes(found.v)}
    batch, rows = [a for a in shown if a in shared], tuple(a for a in shown if a not in shared)
    _check(found, {*shown, *inner, *columns, *own})
    outer = _parted(found, batch, rows, columns)
    dtype = found.v.node.meta["val"].dtype

    def operand(one: Shown, *last: Dim) -> fx.Node:
        return arranged(writer.call, writer.value(one.node), one, [*outer, *last], whole=True)

    q = operand(sources[0], rows, inner)
    k, v = operand(sources[1], columns, inner), operand(sources[2], columns, own)
    for factor, divides in found.factors:
        by_row = arranged(writer.call, writer.value(factor.node), factor, [*outer, rows, ()], whole=False)
        q = writer.call(torch.div if divides else torch.mul, q, by_row)
    bias = write_bias(writer, found, [*outer, rows, columns], dtype)
    if bias.alike is not None:
        q = writer.call(torch.where, bias.alike, 0.0, q)
    attend, options = torch.nn.functional.scaled_dot_product_attention, {"is_causal": bias.causal, "scale": found.scale}
    made = writer.call(attend, q, k, v, attn_mask=bias.mask, **options)
    if bias.dead is not None:
        made = writer.call(torch.where, bias.dead, float("nan"), made)
    axes = [*batch, *rows, *own]
    made = writer.call(torch.reshape, made, [axis.size for axis in axes])
    made = writer.call(torch.permute, made, [axes.index(axis) for axis in _axes(found.out)])
    return writer.call(torch.Tensor.contiguous, writer.call(torch.reshape, made, found.out.node.meta["val"].shape))


def _axes(shown: Shown) -> list[Axis]:
    return [axis for dim in settled(shown.layout) for axis in dim]


def _check(found: Attention, everywhere: set[Axis]) -> None:
    q, k, v = (one.node.meta["val"] for one in (found.q, found.k, found.v))
    if not all(everywhere.issuperset(_axes(one)) for one in (found.q, found.k, found.v)):
        raise NotAttention
    if v.dtype not in _DTYPES or q.dtype is not k.dtype or q.dtype is not v.dtype:
        raise NotAttention("its operands are of different dtypes")
    if not found.own or size_of(found.own) != size_of(found.inner):
        raise NotAttention("its values are not as wide as its keys")
    for factor, _ in found.factors:
        if not set(_axes(factor)).isdisjoint(leaves(found.columns)):
            raise NotAttention("its scores are multiplied by a tensor that differs from key to key")


def _parted(found: Attention, batch: list[Axis], rows: Dim, columns: Dim) -> tuple[Dim, Dim]:
    """The batch in two parts such that masks are spread over as little of it as can be."""
    masks = [one.term if isinstance(one, Added) else one.condition for one in found.bias]

    def spread(at: int) -> int:
        groups = [tuple(batch[:at]), tuple(batch[at:]), rows, columns]
        return sum(spread_size(mask, groups) for mask in masks)

    at = min(sorted(range(len(batch) + 1), key=lambda at: at != 1), key=spread)
    return tuple(batch[:at]), tuple(batch[at:])
