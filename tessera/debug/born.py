"""Whether an operation bears a value that is not finite: out of finite ones, by arithmetic.

What is put there on purpose is none: fills, constants and copies (``-inf`` in a mask), sums of the largest numbers of
a dtype (two masks of ``finfo.min``), what comes of an infinity that was there already (``exp(-inf)``, a maximum over
``-inf`` alone). NaN out of infinities is: ``inf - inf``, ``0 * inf``, the softmax of a row that is all ``-inf``.

Where each result comes of one value of each operand, every result is judged by its own; else all operands together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tessera import torch_internals
from tessera.debug.ranges import is_finite, values_of, watchable

# What puts a value somewhere and computes none. Uninitialised memory may hold anything.
_NAMES = """
    full full_like new_full fill masked_fill where scalar_tensor lift lift_fresh lift_fresh_copy clone
    constant_pad_nd pad index_fill masked_scatter scatter index_put _index_put_impl _unsafe_index_put
    select_scatter slice_scatter put diagonal_scatter as_strided_scatter index_copy cat stack detach alias set
    set_data resize resize_as roll flip empty empty_like empty_strided new_empty new_empty_strided
    _efficientzerotensor zeros zeros_like ones ones_like gather index index_select embedding take
    _local_scalar_dense repeat _unsafe_view _reshape_copy unfold_copy tril triu uniform normal exponential cauchy
    log_normal geometric bernoulli random rand randn rand_like randn_like from_file sort topk kthvalue
    max_pool2d_with_indices max_pool3d_with_indices nan_to_num segment_reduce scatter_reduce index_reduce
"""
_PUTS = frozenset(_NAMES.split())
# The result that counts; others are what a backward wants to know.
_FIRST_RESULT_ONLY = ("_scaled_dot_product", "native_layer_norm", "_fused_rms_norm", "_ctc_loss")
_ENDS = {torch.finfo(d).max for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}


@dataclass(frozen=True)
class Birth:
    """A result that is not finite.

    Attributes:
        kind: "NaN", "inf" or "-inf".
        result: position among the results.
        count: how many such values.
    """

    kind: str
    result: int
    count: int


def puts(name: str) -> bool:
    """Whether an operator of this name (``masked_fill_``) only puts values somewhere."""
    return name.rstrip("_") in _PUTS


@torch.no_grad()
def birth(
    operator: Any,
    operands: Sequence[Any],
    results: Sequence[torch.Tensor],
    again: Callable[[Callable[[torch.Tensor], torch.Tensor]], Sequence[torch.Tensor]] | None = None,
) -> Birth | None:
    """What was born in ``results``.

    Args:
        operands: tensors and numbers as they were before; those that were written since are copies.
        again: computes the results anew, with a function of every tensor among the operands in its place.
    """
    name = operator.overloadpacket.__name__
    results = list(results[:1]) if name.startswith(_FIRST_RESULT_ONLY) else list(results)
    suspects = [i for i, result in enumerate(results) if _may_bear(result) and not is_finite(result)]
    if not suspects or _puts_here(name, operands, results):
        return None
    with torch_internals.outside_of_modes():
        given = [v for operand in operands if (v := _values(operand)) is not None]
        for index in suspects:
            made = values_of(results[index])
            if made is not None and (found := _judge(operator, given, made, index, again)) is not None:
                return found
    return None


def _may_bear(result: Any) -> bool:
    return isinstance(result, torch.Tensor) and bool(watchable([result]))


def _puts_here(name: str, operands: Sequence[Any], results: Sequence[torch.Tensor]) -> bool:
    if name.rstrip("_") in {"copy", "_to_copy", "to"}:  # a number may be too large for the dtype it is put in
        sources = watchable([o for o in operands if isinstance(o, torch.Tensor)])
        return all(source.dtype == result.dtype for source in sources for result in results)
    return puts(name)


def _values(operand: Any) -> torch.Tensor | None:
    if isinstance(operand, torch.Tensor):
        return values_of(operand) if watchable([operand]) else None
    if isinstance(operand, float | int) and not isinstance(operand, bool):
        return torch.tensor(float(operand), dtype=torch.float64)
    return None


def _judge(
    operator: Any, given: Sequence[torch.Tensor], made: torch.Tensor, index: int, again: Callable[..., Any] | None
) -> Birth | None:
    if _is_elementwise(operator) and all(_broadcasts(value, made) for value in given):
        nan, infinite = torch.isnan(made), torch.isinf(made)
        for value in given:
            nan = nan & ~torch.isnan(value)
            infinite = infinite & torch.isfinite(value) & ~_is_end(value)
        return _birth(nan, infinite, made, index)
    had_nan = any(bool(torch.isnan(value).any()) for value in given)
    had_inf = any(bool((torch.isinf(value) | _is_end(value)).any()) for value in given)
    nan, infinite = torch.isnan(made), torch.isinf(made)
    nothing = torch.zeros_like(nan)
    if had_nan or had_inf:
        without = _without(again, index)
        if without is not None and not bool(torch.isfinite(without).all()):
            return _birth(torch.isnan(without), torch.isinf(without), without, index)
        return _birth(nothing if had_nan else nan, nothing, made, index)
    return _birth(nan, infinite, made, index)


def _without(again: Callable[..., Any] | None, index: int) -> torch.Tensor | None:
    """The result computed of the finite values alone, 0 in place of the others."""
    if again is None:
        return None
    try:
        return values_of(again(_tame)[index])
    except (RuntimeError, ValueError, TypeError, IndexError):  # an operator may refuse what it is given a second time
        return None


def _tame(value: torch.Tensor) -> torch.Tensor:
    if not watchable([value]) or value.layout is not torch.strided:
        return value
    bad = ~torch.isfinite(value) | _is_end(value) if not value.is_complex() else ~torch.isfinite(value)
    return torch.where(bad, torch.zeros_like(value), value)


def _birth(nan: torch.Tensor, infinite: torch.Tensor, made: torch.Tensor, index: int) -> Birth | None:
    if count := int(nan.sum()):
        return Birth("NaN", index, count)
    if count := int(infinite.sum()):
        return Birth("-inf" if bool((made[infinite] < 0).all()) else "inf", index, count)
    return None


def _is_end(value: torch.Tensor) -> torch.Tensor:
    """Where it is the largest number of some dtype, up or down: a mask that is not infinite but stands for it."""
    size = value.abs()
    found = torch.zeros_like(size, dtype=torch.bool)
    largest = torch.finfo(value.dtype).max if value.dtype.is_floating_point else math.inf
    for end in _ENDS:
        if end <= largest:
            found = found | (size == end)
    return found


def _is_elementwise(operator: Any) -> bool:
    return torch.Tag.pointwise in operator.tags or operator.overloadpacket.__name__ in {"_to_copy", "copy_", "copy"}


def _broadcasts(value: torch.Tensor, made: torch.Tensor) -> bool:
    try:
        return torch.broadcast_shapes(value.shape, made.shape) == made.shape
    except RuntimeError:
        return False
