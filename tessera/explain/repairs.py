"""Small edits of an argument that make a call fit, found by trying them on tensors without data."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch

from tessera.explain.failure import Failure
from tessera.explain.operation import Operation
from tessera.explain.values import dtype

Edit = tuple[str, Callable[[torch.Tensor], torch.Tensor]]  # as code with {} for the argument, and as a function
_CHANNELS = [(0, 3, 1, 2), (0, 2, 3, 1), (2, 0, 1), (1, 2, 0)]


def repairs(
    failure: Failure,
    operation: Operation,
    parameters: tuple[str, ...],
    check: Callable[..., bool] | None = None,
    *,
    dims_first: bool = False,
) -> list[str]:
    """The user's code with one argument edited so that the call fits, the likeliest edit first.

    Args:
        parameters: whose values may be edited, the likeliest first.
        check: whether the call fits with other values by name; by default torch is asked.
        dims_first: a dim that is missing is likelier than dims in another order.
    """
    fits = check or operation.fits
    if fits():  # then what is wrong shows only with data, and no edit of shapes mends it
        return []
    most = max((t.dim() for t in operation.tensors().values()), default=0)
    kinds = (dims, orders, flattened) if dims_first else (orders, dims, flattened)
    found: list[tuple[int, int, int, str]] = []
    for place, parameter in enumerate(parameters):
        value = operation.values.get(parameter)
        if not isinstance(value, torch.Tensor):
            continue
        bare = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
        for rank, kind in enumerate(kinds):
            for number, (code, edit) in enumerate(kind(bare)):
                edited = _edited(edit, bare)
                if edited is not None and fits(**{parameter: edited}):
                    grows, unusual = max(edited.dim() - most, 0), int(number > 0 and kind is orders)
                    text = failure.rewritten(operation, **{parameter: code})
                    found.append((2 * grows + unusual, rank, place, text))
    return list(dict.fromkeys(text for *_, text in sorted(found, key=lambda each: each[:3])))


def _edited(edit: Callable[[torch.Tensor], torch.Tensor], value: torch.Tensor) -> torch.Tensor | None:
    try:
        return edit(value)
    except (RuntimeError, IndexError):
        return None


def orders(value: torch.Tensor) -> Iterator[Edit]:
    """Dims in another order."""
    rank = value.dim()
    if rank >= 2:
        yield "{}.transpose(-2, -1)", lambda t: t.transpose(-2, -1)
    for order in _CHANNELS:
        if len(order) == rank:
            yield f"{{}}.permute{order}", lambda t, order=order: t.permute(order)  # type: ignore[misc]
    for i, j in itertools.combinations(range(rank), 2) if rank > 2 else ():
        if (i, j) != (rank - 2, rank - 1):
            yield f"{{}}.transpose({i}, {j})", lambda t, i=i, j=j: t.transpose(i, j)  # type: ignore[misc]


def dims(value: torch.Tensor) -> Iterator[Edit]:
    """A dim of size 1 more, or one less."""
    for at in range(value.dim()):
        if value.shape[at] == 1:
            yield f"{{}}.squeeze({at})", lambda t, at=at: t.squeeze(at)  # type: ignore[misc]
    for at in (*range(1, value.dim()), -1, 0):
        yield f"{{}}.unsqueeze({at})", lambda t, at=at: t.unsqueeze(at)  # type: ignore[misc]


def flattened(value: torch.Tensor) -> Iterator[Edit]:
    """Several dims as one."""
    if value.dim() > 2:
        yield "{}.flatten(1)", lambda t: t.flatten(1)
        yield "{}.flatten(-2)", lambda t: t.flatten(-2)
        yield "{}.flatten(0, 1)", lambda t: t.flatten(0, 1)


def to(kind: torch.dtype) -> str:
    """``.to(torch.float32)`` in the shortest spelling."""
    short = {torch.float32: "float", torch.float64: "double", torch.float16: "half", torch.bfloat16: "bfloat16",
             torch.int64: "long", torch.int32: "int", torch.bool: "bool"}.get(kind)  # fmt: skip
    return f"{{}}.{short}()" if short else f"{{}}.to(torch.{dtype(kind)})"
