"""The same numbers under another shape: ``view``, ``reshape``, ``expand``, ``permute`` and what names dims."""

from __future__ import annotations

import math

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.rules.joining import out_of_range
from tessera.explain.values import shape


def reshape(failure: Failure, operation: Operation) -> Explanation | None:
    """A shape with another number of elements, with two -1, or that a view cannot have."""
    x, sizes = operation.values.get("input"), operation.values.get("shape")
    if not isinstance(x, torch.Tensor) or not isinstance(sizes, tuple | list):
        return None
    if not all(isinstance(size, int) for size in sizes):
        return None
    name, said, asked = failure.name(operation, "input"), failure.received(operation, "input"), list(sizes)
    call = f"{name}.{operation.name}"
    if asked.count(-1) > 1:
        why = "-1 stands for the size that follows from the others, and two of them do not follow."
        first = asked.index(-1)
        given = [size if i == first or size != -1 else x.shape[min(i, x.dim() - 1)] for i, size in enumerate(asked)]
        return Explanation("Shape Error", "at most one -1", said, why, [f"{call}({_listed(given)})"])
    known = math.prod(size for size in asked if size != -1)
    total = x.numel()
    if (-1 in asked and known and total % known == 0) or known == total:
        if operation.name != "view":
            return None
        why = (
            f"A view keeps the memory as it is, and {name} does not lie in memory in the order of its dims "
            f"(strides {list(x.stride())}), as after transpose or permute."
        )
        fixes = [f"{name}.reshape({_listed(asked)})", f"{name}.contiguous().view({_listed(asked)})"]
        return Explanation("Shape Error", "a tensor that is contiguous where dims are joined", said, why, fixes)
    fixes = [f"{call}({_listed(fixed)})" for fixed in _near(x.shape, asked)]
    sum_of = f"{' * '.join(str(size) for size in asked if size != -1) or 1} = {known}"
    expected = f"sizes whose product is {total}" if -1 not in asked else f"sizes whose product divides {total}"
    return Explanation(
        "Shape Error",
        expected,
        said,
        f"{name} has {' * '.join(map(str, x.shape)) or 1} = {total} elements, and "
        f"{shape([size if size != -1 else '?' for size in asked])} asks for {sum_of}"
        f"{' times some whole number' if -1 in asked else ''}.",
        fixes or [f"{call}(-1)"],
    )


def _near(sizes: torch.Size, asked: list[int]) -> list[list[int]]:
    """What may have been meant: one size left open, or the batch kept."""
    total = math.prod(sizes)
    found = []
    for i, size in sorted(enumerate(asked), key=lambda pair: -abs(pair[1])):
        rest = math.prod(other for j, other in enumerate(asked) if j != i and other != -1)
        if size != -1 and rest and total % rest == 0 and -1 not in asked:
            found.append([*asked[:i], -1, *asked[i + 1 :]])
    if -1 in asked and len(asked) == 2 and len(sizes) > 1:
        found.append([sizes[0], -1] if asked[0] == -1 else [-1, sizes[-1]])
    if len(sizes) > 1 and [sizes[0], -1] not in found:
        found.append([sizes[0], -1])
    return found[:3]


def _listed(sizes: list[int]) -> str:
    return ", ".join(map(str, sizes))


def expand(failure: Failure, operation: Operation) -> Explanation | None:
    """A size other than 1 that is to become another, or fewer dims than there are."""
    x, sizes = operation.values.get("input"), operation.values.get("sizes")
    if not isinstance(x, torch.Tensor) or not isinstance(sizes, tuple | list):
        return None
    name, said, asked = failure.name(operation, "input"), failure.received(operation, "input"), list(sizes)
    if len(asked) < x.dim():
        why = f"{operation.name} was asked for {len(asked)} dims of {name}, which has {x.dim()}; it can only add dims."
        full = [
            *([1] * (x.dim() - len(asked)) if operation.name == "repeat" else x.shape[: x.dim() - len(asked)]),
            *asked,
        ]
        fix = f"{name}.{operation.name}({_listed(full)})"
        return Explanation("Shape Error", f"at least {x.dim()} sizes", said, why, [fix])
    if operation.name != "expand":
        return None
    for at in range(1, x.dim() + 1):
        had, wanted = x.shape[-at], asked[-at]
        if wanted not in (-1, had) and had != 1:
            fixes = [fix for fix in repairs(failure, operation, ("input",)) if "unsqueeze" in fix]
            if wanted % had == 0:
                times = [1] * len(asked)
                times[-at] = wanted // had
                fixes.append(f"{name}.repeat({_listed(times)})")
            kept = [*asked]
            kept[-at] = -1
            return Explanation(
                "Shape Error",
                f"{name}: a size of 1 in dim {-at}",
                said,
                f"expand repeats dims of size 1; dim {-at} of {name} is {had} and cannot become {wanted}.",
                [*fixes, f"{name}.expand({_listed(kept)})"],
            )
    return None


def permute(failure: Failure, operation: Operation) -> Explanation | None:
    """An order that does not name each dim once."""
    x, dims = operation.values.get("input"), operation.values.get("dims")
    if not isinstance(x, torch.Tensor) or not isinstance(dims, tuple | list):
        return None
    name, said, asked = failure.name(operation, "input"), failure.received(operation, "input"), list(dims)
    rank = x.dim()
    if len(asked) == rank and sorted(d % rank for d in asked if -rank <= d < rank) == list(range(rank)):
        return None
    known = list(dict.fromkeys(d % rank for d in asked if -rank <= d < rank)) if rank else []
    full = [*known, *(d for d in range(rank) if d not in known)]
    fixes = [f"{name}.permute({_listed(full)})"]
    if len(asked) == rank + 1:
        fixes.append(f"{name}.unsqueeze(0).permute({_listed(asked)})")
    if len(asked) < rank:
        shifted = [*range(rank - len(asked)), *(d + rank - len(asked) for d in asked)]
        if sorted(shifted) == list(range(rank)):
            fixes.insert(0, f"{name}.permute({_listed(shifted)})")
    return Explanation(
        "Shape Error",
        f"each of the dims 0 to {rank - 1} once",
        said,
        f"permute was given the order {asked}, and {name} has {rank} dims.",
        list(dict.fromkeys(fixes)),
    )


def named_dim(failure: Failure, operation: Operation) -> Explanation | None:
    """An operation over a dim that the tensor does not have."""
    x = operation.values.get("input")
    if not isinstance(x, torch.Tensor) or operation.name in ("embedding", "where"):
        return None
    rank = x.dim() + (operation.name in ("unsqueeze", "stack"))
    for key in ("dim", "dim0", "dim1", "source", "destination", "start_dim", "end_dim", "dims", "axis"):
        value = operation.values.get(key)
        for dim in value if isinstance(value, tuple | list) else [value]:
            bound = max(rank, 1)
            if isinstance(dim, int) and not isinstance(dim, bool) and not -bound <= dim < bound:
                name = failure.name(operation, "input")
                told = failure.received(operation, "input")
                new = {key: -1} if not isinstance(value, tuple | list) else {}
                fix = failure.rewritten(operation, **dict.fromkeys(new, "-1"))
                explained = out_of_range(f"{name}.{operation.name}(", dim, rank, told, spelling="{})")
                fixes = [fix] if new and fix != "-1" else explained.fixes[:1]
                return Explanation(
                    explained.kind,
                    explained.expected,
                    told,
                    explained.why,
                    [*fixes, f"{name}.unsqueeze(0)  # if a dim was lost on the way"],
                )
    return None


def pieces(failure: Failure, operation: Operation) -> Explanation | None:
    """Sizes of ``split`` or ``unflatten`` that do not add up to the dim."""
    x = operation.values.get("input")
    if not isinstance(x, torch.Tensor):
        return None
    dim = operation.values.get("dim", operation.values.get("argument 2", 0))
    sizes = operation.values.get("sizes" if operation.name == "unflatten" else "split_size", None)
    sizes = (
        sizes
        if sizes is not None
        else operation.values.get("split_size_or_sections", operation.values.get("argument 2"))
    )
    if operation.name.startswith("split"):
        dim = operation.values.get("dim", operation.values.get("argument 3", 0))
    if not isinstance(sizes, tuple | list) or not isinstance(dim, int) or not -x.dim() <= dim < x.dim():
        return None
    name, whole = failure.name(operation, "input"), x.shape[dim]
    made, word = (math.prod(sizes), "product") if operation.name == "unflatten" else (sum(sizes), "sum")
    if made == whole or -1 in sizes:
        return None
    others = list(sizes)
    fixes = []
    if operation.name == "unflatten":
        others[0] = -1
    else:
        others[-1] = whole - sum(sizes[:-1])
    if operation.name == "unflatten" or others[-1] > 0:
        fixes.append(
            f"{name}.{operation.name}({f'{dim}, {others}' if operation.name == 'unflatten' else f'{others}, {dim}'})"
        )
    return Explanation(
        "Shape Error",
        f"sizes whose {word} is {whole}, dim {dim} of {name}",
        failure.received(operation, "input"),
        f"The {word} of {list(sizes)} is {made}.",
        [*fixes, f"{name}.chunk({len(sizes)}, {dim})"] if operation.name != "unflatten" else fixes,
    )
