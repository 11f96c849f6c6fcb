"""``tessera.associative_scan``: all partial results of an associative operation, in a logarithmic number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import TransformError
from tessera.transforms.arguments import check_function


def associative_scan(function: Callable[[Any, Any], Any], xs: Any, *, dim: int = 0, reverse: bool = False) -> Any:
    """``[x0, f(x0, x1), f(f(x0, x1), x2), ...]``, where f is associative and works on many pairs at once.

    Args:
        function: ``f(a, b)`` of two nests like ``xs`` with some number of elements in ``dim``; returns the like,
            element by element. ``f(f(a, b), c)`` is ``f(a, f(b, c))``, else the result is another than that of a loop.
        xs: a tensor, or nested lists, tuples and dicts of tensors, of one size in ``dim``.
        dim: along which.
        reverse: begin with the last element; f then has the later one first.

    Returns:
        A nest like ``xs``.

    Raises:
        TransformError: a leaf is no tensor or has no such dim, sizes differ, or f returns other shapes.

    Example:
        >>> import torch, tessera
        >>> tessera.associative_scan(torch.add, torch.arange(5))
        tensor([ 0,  1,  3,  6, 10])

        A linear recurrence ``h = a * h + b``:

        >>> def combine(left, right):
        ...     return left[0] * right[0], left[1] * right[0] + right[1]
        >>> tessera.associative_scan(combine, (torch.full((4,), 0.5), torch.ones(4)))[1]
        tensor([1.0000, 1.5000, 1.7500, 1.8750])

    References:
        Blelloch, Prefix sums and their applications, 1990.
    """
    check_function(function, "associative_scan")
    leaves, nest = torch_internals.flattened(xs)
    _check(leaves, dim)
    if reverse:
        leaves = [leaf.flip(dim) for leaf in leaves]

    def combine(a: list[torch.Tensor], b: list[torch.Tensor]) -> list[torch.Tensor]:
        made = torch_internals.flattened(function(nest(a), nest(b)))[0]
        if [getattr(t, "shape", None) for t in made] != [t.shape for t in a]:
            raise TransformError(
                f"The function of tessera.associative_scan was given {[list(t.shape) for t in a]} and returned "
                f"{[list(t.shape) if isinstance(t, torch.Tensor) else type(t).__name__ for t in made]}.",
                "It combines many pairs at once and returns as many results of the same shapes.",
                "Write it element by element along the dim, as torch.add is; tessera.scan takes any function of one.",
            )
        return made

    scanned = _scan(combine, leaves, dim)
    return nest([leaf.flip(dim) for leaf in scanned] if reverse else scanned)


def _scan(
    combine: Callable[[list[torch.Tensor], list[torch.Tensor]], list[torch.Tensor]], xs: list[torch.Tensor], dim: int
) -> list[torch.Tensor]:
    """Neighbours are combined, the half as many results scanned, and the places between filled in."""
    count = xs[0].shape[dim]
    if count < 2:
        return xs
    pairs = count // 2
    odd = _scan(combine, combine(_every(xs, dim, 0, 2 * pairs), _every(xs, dim, 1, 2 * pairs)), dim)
    first = [x.narrow(dim, 0, 1) for x in xs]
    if count == 2:
        return [torch.cat([a, b], dim) for a, b in zip(first, odd, strict=True)]
    inner = (count - 1) // 2
    even = combine([x.narrow(dim, 0, inner) for x in odd], _every(xs, dim, 2, count))
    result = []
    for start, later, between in zip(first, even, odd, strict=True):
        evens = torch.cat([start, later], dim)
        paired = torch.stack([evens.narrow(dim, 0, pairs), between], dim + 1 if dim >= 0 else dim)
        woven = paired.flatten(dim, dim + 1) if dim >= 0 else paired.flatten(dim - 1, dim)
        result.append(woven if count % 2 == 0 else torch.cat([woven, evens.narrow(dim, pairs, 1)], dim))
    return result


def _every(xs: list[torch.Tensor], dim: int, start: int, end: int) -> list[torch.Tensor]:
    """Every second element."""
    return [x.movedim(dim, 0)[start:end:2].movedim(0, dim) for x in xs]


def _check(leaves: list[Any], dim: int) -> None:
    for leaf in leaves:
        if not isinstance(leaf, torch.Tensor) or not -leaf.dim() <= dim < leaf.dim():
            given = (
                f"a tensor of shape {list(leaf.shape)}"
                if isinstance(leaf, torch.Tensor)
                else f"a {type(leaf).__name__}"
            )
            raise TransformError(
                f"tessera.associative_scan is to go along dim {dim} of {given}.",
                "It goes along a dim of tensors, or of nests of them.",
                "Write tessera.associative_scan(torch.add, torch.arange(5)).",
            )
    sizes = sorted({leaf.shape[dim] for leaf in leaves})
    if len(sizes) != 1 or sizes == [0]:
        raise TransformError(
            f"tessera.associative_scan was given sizes {sizes} to go along.",
            "All tensors have the same number of elements in the dim, at least 1.",
            "Write tensors of equal length.",
        )
