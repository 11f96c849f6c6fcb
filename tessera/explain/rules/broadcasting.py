"""Element by element: two shapes that do not broadcast."""

from __future__ import annotations

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import shape
from tessera.program.in_place import is_in_place


def elementwise(failure: Failure, operation: Operation) -> Explanation | None:
    """Tensors whose sizes are neither equal nor 1 in some dim, counted from the right."""
    tensors = operation.tensors()
    if len(tensors) < 2:
        return None
    in_place = operation.name == "iop" or is_in_place(operation.name)
    clash = _clash([t.shape for t in tensors.values()])
    names = {key: failure.name(operation, key) for key in tensors}
    first, *others = tensors
    if clash is None:
        return _grows(failure, operation, names, first, others) if in_place else None
    (i, j), at = clash
    a, b = list(tensors)[i], list(tensors)[j]
    sizes = tensors[a].shape[at], tensors[b].shape[at]
    left, right = names[a], names[b]

    def fits(**edited: torch.Tensor) -> bool:
        return _clash([edited.get(key, value).shape for key, value in tensors.items()]) is None

    fixes = _likely(repairs(failure, operation, (b, a), fits, dims_first=True))
    if tensors[a].dim() == 1 and tensors[b].dim() == 1:
        short, long = sorted((a, b), key=lambda key: tensors[key].shape[0])
        size = tensors[short].shape[0]
        fixes.insert(0, failure.rewritten(operation, **{long: f"{{}}[:{size}]"}))
    wanted = [*tensors[b].shape]
    wanted[at] = sizes[0]
    return Explanation(
        "Shape Error",
        f"{right}: {shape(wanted)}, or a size of 1 in dim {at}",
        failure.received(operation),
        f"Counted from the right, dim {at} of {left} is {sizes[0]} and dim {at} of {right} is {sizes[1]}; "
        "sizes that go together are equal, or one of them is 1.",
        fixes or [f"{right} with {sizes[0]} in dim {at}, where it is made"],
    )


def _grows(
    failure: Failure, operation: Operation, names: dict[str, str], first: str, others: list[str]
) -> Explanation | None:
    """In place, the result has to fit into the first tensor."""
    tensors = operation.tensors()
    whole = torch.broadcast_shapes(*(t.shape for t in tensors.values()))
    if whole == tensors[first].shape:
        return None
    target = names[first]
    return Explanation(
        "Shape Error",
        f"{names[others[0]]} that broadcasts to {shape(tensors[first].shape)}",
        failure.received(operation),
        f"The result has the shape {list(whole)} and is to be written into {target}, "
        f"whose shape stays {list(tensors[first].shape)}.",
        [f"{target} = {target} + {names[others[0]]}  # a new tensor; likewise for other operators"],
    )


def _clash(shapes: list[torch.Size]) -> tuple[tuple[int, int], int] | None:
    """The first two shapes that do not go together, and the dim from the right."""
    longest = max(len(one) for one in shapes)
    for at in range(-1, -longest - 1, -1):
        known: tuple[int, int] | None = None
        for i, one in enumerate(shapes):
            if len(one) < -at or one[at] == 1:
                continue
            if known is None:
                known = i, one[at]
            elif known[1] != one[at]:
                return (known[0], i), at
    return None


def _likely(fixes: list[str]) -> list[str]:
    return fixes[:3]
