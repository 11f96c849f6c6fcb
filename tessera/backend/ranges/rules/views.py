"""What only moves, repeats or leaves out values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from tessera.backend.ranges.question import Answer, Question, Rule, dtype_of
from tessera.backend.ranges.rows import NO_FACTS, Rows, after_view
from tessera.backend.ranges.value_range import TOP, Range, number, union

_LARGEST_INTEGER = 2.0**31  # of the usual integers the smallest
Where = Callable[[int], int | None]


def _kept(q: Question) -> Range:
    return q.x


def _copied(q: Question) -> Range:
    """Also casts: to a whole number, values are cut off; to a bool, all but zero are true."""
    x, dtype = q.x, dtype_of(q.node)
    if dtype is None or dtype.is_floating_point or dtype.is_complex or x.integer:
        return x
    if dtype is torch.bool:
        return Range(0.0, 1.0, (0.0, 1.0) if x.reaches_zero else None, integer=True)
    if not x.within(-_LARGEST_INTEGER, _LARGEST_INTEGER):  # beyond it a cast makes anything
        return Range(integer=True)
    low, high = (float(math.trunc(end)) if math.isfinite(end) else end for end in (x.low, x.high))
    reached = x.reached and (float(math.trunc(x.reached[0])), float(math.trunc(x.reached[1])))
    return Range(low, high, reached, x.size, integer=True)


def _view(q: Question) -> Range:
    x = q.x
    if x.rows is NO_FACTS:
        return x
    return x.changed(rows=x.rows.moved(after_view(q.shape(), q.shape(q.node))))


def _permuted(q: Question) -> Range:
    rank = len(q.shape())
    order = q.argument(1, "dims")
    places = [dim % rank for dim in order] if order else list(range(rank))
    return q.x.changed(rows=q.x.rows.moved(places.index))


def _transposed(q: Question) -> Range:
    rank = len(q.shape())
    first, second = q.argument(1, "dim0", 0), q.argument(2, "dim1", 1)
    if rank < 2:
        return q.x
    swap = {first % rank: second % rank, second % rank: first % rank}
    return q.x.changed(rows=q.x.rows.moved(lambda dim: swap.get(dim, dim)))


def _unsqueezed(q: Question) -> Range:
    at = q.argument(1, "dim", 0) % (len(q.shape()) + 1)
    return q.x.changed(rows=q.x.rows.moved(lambda dim: dim + (dim >= at)))


def _expanded(q: Question) -> Range:
    more = len(q.shape(q.node)) - len(q.shape())
    before, after = q.shape(), q.shape(q.node)
    return q.x.changed(rows=q.x.rows.moved(lambda dim: dim + more if before[dim] == after[dim + more] else None))


def _selected(q: Question) -> Range:
    """One slice along a dim: rows along others stay whole."""
    rank = len(q.shape())
    at = q.argument(1, "dim", 0) % rank if rank else 0
    rows = q.x.rows.moved(lambda dim: None if dim == at else dim - (dim > at))
    return q.x.changed(rows=rows)


def _sliced(q: Question) -> Range:
    rank = len(q.shape())
    at = q.argument(1, "dim", 0) % rank if rank else 0
    before, after = q.shape(), q.shape(q.node)
    rows = q.x.rows
    if rows is NO_FACTS or (len(before) == len(after) and before[at] == after[at]):
        return q.x
    others = rows.moved(lambda dim: None if dim == at else dim)
    return q.x.changed(rows=Rows(others.peak, rows.total, rows.length))


def _picked(q: Question) -> Range:
    """gather, index and their like: some of the values."""
    return q.x.plain()


def _picked_rows(q: Question) -> Range:
    """index_select and embedding lookups along the first dim."""
    return q.x.changed(rows=q.x.rows.moved(lambda dim: dim if dim == len(q.shape()) - 1 else None))


def _joined(q: Question) -> Range:
    parts = q.parts(q.argument(0))
    found = union(parts)
    first = parts[0].rows
    at = q.argument(1, "dim", 0)
    rank = len(q.shape(q.node))
    if all(part.rows == first for part in parts) and first is not NO_FACTS and rank:
        gone = at % rank
        stacked = "stack" in str(q.node.target)
        rows = first.moved(lambda dim: dim + (dim >= gone) if stacked else None if dim == gone else dim)
        return found.changed(rows=rows)
    return found


def _split(q: Question) -> Answer:
    results: Any = q.node.meta.get("val")
    return tuple(q.x.plain() for _ in results) if isinstance(results, (tuple, list)) else q.x.plain()


def _padded(q: Question) -> Range:
    return union([q.x, number(float(q.argument(2, "value", 0) or 0))])


def _part_kept(q: Question) -> Range:
    """Tril and triu: the rest becomes zero."""
    return union([q.x.plain(), number(0.0)]) if q.x.exact != 1 else Range(0.0, 1.0, (0.0, 1.0), 1.0, integer=True)


def _item(q: Question) -> Answer:
    parts = q.parts(q.argument(0))
    position = q.argument(1)
    return parts[position] if isinstance(position, int) and position < len(parts) else TOP


_KEPT = ("alias", "clone", "detach", "contiguous", "lift_fresh_copy", "lift_fresh", "lift", "_assert_tensor_metadata")
_PICKED = (
    *("gather", "index", "take", "take_along_dim", "diagonal", "roll", "flip", "as_strided", "unfold", "repeat"),
    *("repeat_interleave", "masked_select", "pixel_shuffle", "pixel_unshuffle", "im2col", "reflection_pad1d"),
    *("reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d"),
    *("channel_shuffle", "native_channel_shuffle", "diag_embed", "_unsafe_index", "diagonal_copy", "rot90"),
)
_VIEWS = ("view", "_unsafe_view", "reshape", "squeeze", "flatten", "_reshape_alias", "_reshape_copy")
VIEWS = {*_VIEWS, "alias", "detach", "permute", "transpose", "t", "unsqueeze", "expand", "select", "slice", "diagonal"}
RULES: dict[str, Rule] = {
    **dict.fromkeys(_KEPT, _kept),
    **dict.fromkeys(("_to_copy", "to"), _copied),
    **dict.fromkeys(_PICKED, _picked),
    **dict.fromkeys(_VIEWS, _view),
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "unbind", "unsafe_split", "unsafe_chunk"), _split),
    **dict.fromkeys(("cat", "stack", "concat"), _joined),
    **dict.fromkeys(("tril", "triu"), _part_kept),
    "permute": _permuted,
    "transpose": _transposed,
    "t": _transposed,
    "unsqueeze": _unsqueezed,
    "expand": _expanded,
    "select": _selected,
    "slice": _sliced,
    "index_select": _picked_rows,
    "constant_pad_nd": _padded,
    "getitem": _item,
    "copy": lambda q: q.y,
}
