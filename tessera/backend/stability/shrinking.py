"""The arguments of an operation where its inputs have smaller sizes than the user's: numbers that are sizes shrink too.

x.view(8, 64, 32)        of x of (8, 4) instead of (8, 2048)      x.view(8, 4, 1)
x.sum(-1) / 2048         beside it                                x.sum(-1) / 4
x[:, 1024:]                                                       x[:, 2:]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, fx

from tessera import torch_internals
from tessera.backend.stability.spelling import call_of, example

MULTIPLE = 4
_SHOWN_OTHERWISE = ("view", "reshape", "unflatten", "flatten")
_SPREAD = ("expand", "broadcast_to")
_ARITHMETIC = ("add", "sub", "mul", "div")


def shrunk_sizes(sizes: Iterable[int], longest: int) -> dict[int, int]:
    """What sizes above ``longest`` become: that, or what they are to one that has shrunk, twice it or one more."""
    found = dict[int, int]()
    for size in sorted({size for size in sizes if size > longest}):
        part = next((one for one in found if size % one == 0 and size // one <= MULTIPLE), None)
        if size - 1 in found:
            found[size] = found[size - 1] + 1
        else:
            found[size] = found[part] * (size // part) if part else longest
    return found


def in_small(node: fx.Node, args: Any, sizes: Mapping[int, int]) -> Any:
    """The arguments ``args`` of ``node`` where ``sizes`` have shrunk; its result, where it shows a tensor otherwise."""
    call = call_of(node)
    first = args[0] if args else None
    if not sizes or call is None or not isinstance(first, Tensor):
        return _numbers(args, sizes) if sizes and call is not None and call.name in _ARITHMETIC else args
    before = [torch_internals.size_hint(size) for size in example(node.args[0]).shape]
    if call.name in _SHOWN_OTHERWISE:
        after = [torch_internals.size_hint(size) for size in example(node).shape]
        return first.reshape(_regrouped(before, after, list(first.shape)))
    if call.name in _SPREAD:
        wanted = args[1:] if isinstance(args[1], int) else args[1]
        return (first, tuple(_numbers(wanted, sizes)))
    if call.name == "getitem" and first.dim() == len(before):
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return (first, _indices(index, before, list(first.shape)))
    return _numbers(args, sizes) if call.name in _ARITHMETIC else args


def _numbers(args: Any, sizes: Mapping[int, int]) -> Any:
    """A count of elements that something is divided by is the count of fewer."""
    return tuple(sizes.get(one, one) if _is_size(one) else one for one in args)


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value) and value > 0


def _regrouped(before: list[int], after: list[int], now: list[int]) -> list[int]:
    """The sizes of ``after`` for a tensor of ``now`` instead of ``before``: what is parted is all in one part."""
    found, start, stop = list[int](), 0, 0
    while start < len(before) or stop < len(after):
        first, last, inner, outer, less = start, stop, 1, 1, 1
        while True:
            if inner <= outer and start < len(before):
                inner, less, start = inner * before[start], less * now[start], start + 1
            elif stop < len(after):
                outer, stop = outer * after[stop], stop + 1
            else:
                break
            if inner == outer and stop > last and (start > first or start == len(before)):
                break
        parts = after[last:stop]
        if now[first:start] != before[first:start]:
            largest = parts.index(max(parts)) if parts else 0
            parts = [less if at == largest else 1 for at in range(len(parts))]
        found += parts
    return found


def _indices(index: tuple[Any, ...], before: list[int], now: list[int]) -> tuple[Any, ...]:
    found, at = list[Any](), 0
    for one in index:
        if one is Ellipsis:
            at = len(before) - sum(other is not None for other in index[len(found) + 1 :])
        elif one is not None:
            found.append(_in_small_index(one, before[at], now[at]) if before[at] != now[at] else one)
            at += 1
            continue
        found.append(one)
    return tuple(found)


def _in_small_index(one: Any, before: int, now: int) -> Any:
    if isinstance(one, int):
        return min(one, now - 1) if one >= 0 else max(one, -now)
    if isinstance(one, slice):
        start, stop = (_bound(bound, before, now) for bound in (one.start, one.stop))
        start = start if start is None else min(start, now - 1)
        if start is not None and stop is not None and one.start < one.stop and start >= stop:
            stop = start + 1
        return slice(start, stop, one.step)
    return one


def _bound(bound: int | None, before: int, now: int) -> int | None:
    if bound is None or abs(bound) < min(now, 2):
        return bound
    return round(bound * now / before) or (1 if bound > 0 else -1)
