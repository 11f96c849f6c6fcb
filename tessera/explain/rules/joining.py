"""``cat`` and ``stack``: tensors that do not go side by side."""

from __future__ import annotations

import ast

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.reading import UNKNOWN
from tessera.explain.values import described, shape

_DIMS = {"hstack": 1, "vstack": 0, "dstack": 2, "column_stack": 1}


def join(failure: Failure, operation: Operation) -> Explanation | None:
    """A list of tensors of different shapes."""
    given = operation.values.get("tensors")
    if not isinstance(given, tuple | list):
        return None
    whole = failure.name(operation, "tensors")
    if not given:
        return Explanation(
            "Argument Error",
            "at least one tensor",
            [f"{whole}: an empty list"],
            f"There is nothing to join in {whole}.",
            [f"torch.{operation.name}({whole}) if {whole} else ...", "look at the loop or filter that fills the list"],
        )
    names = _names(operation, len(given))
    said = [f"{name}: {described(value)}" for name, value in zip(names, given, strict=True)][:6]
    strange = next((i for i, t in enumerate(given) if not isinstance(t, torch.Tensor) and t is not UNKNOWN), None)
    if strange is not None:
        return Explanation(
            "Argument Error",
            "a list of tensors",
            said,
            f"{names[strange]} is no tensor.",
            [f"torch.as_tensor({names[strange]})"],
        )
    if any(t is UNKNOWN for t in given):
        return None
    shapes = [t.shape for t in given]
    dim = operation.values.get("dim", _DIMS.get(operation.name, 0))
    if not isinstance(dim, int):
        return None
    return (_stack if operation.name == "stack" else _cat)(operation, list(given), names, said, shapes, dim)


def _cat(
    operation: Operation,
    given: list[torch.Tensor],
    names: list[str],
    said: list[str],
    shapes: list[torch.Size],
    dim: int,
) -> Explanation | None:
    rank = given[0].dim()
    call = f"torch.{operation.name}"
    if rank == 0:
        why = "A tensor without dims has nothing to be joined along; stack makes a new dim."
        return Explanation(
            "Shape Error", "tensors of at least 1 dim", said, why, [f"torch.stack([{', '.join(names)}])"]
        )
    if not -rank <= dim < rank:
        return out_of_range(f"{call}([{', '.join(names)}]", dim, rank, said, spelling=", dim={})")
    for i, one in enumerate(shapes):
        if one == torch.Size([0]):
            continue
        if len(one) != rank:
            low = i if len(one) < rank else 0
            return Explanation(
                "Shape Error",
                f"tensors of {rank} dims, as {names[0]} has",
                said,
                f"{names[0]} has {rank} dims and {names[i]} has {len(one)}; tensors that are joined have equally many.",
                [f"{names[low]}.unsqueeze({at})" for at in (0, -1)],
            )
        differ = [at for at in range(rank) if at != dim % rank and one[at] != shapes[0][at]]
        if differ:
            at = differ[0]
            fixes = [
                f"{call}([{', '.join(names)}], dim={other})"
                for other in range(rank)
                if other != dim % rank
                and all(s[k] == shapes[0][k] for s in shapes for k in range(rank) if k != other and len(s) == rank)
            ]
            wanted: list[int | str] = [*shapes[0]]
            wanted[dim] = "n"
            short, n = (0, shapes[0][at]) if shapes[0][at] < one[at] else (i, one[at])
            long = names[i] if short == 0 else names[0]
            cut = f"{long}[{':, ' * at}:{n}]"
            return Explanation(
                "Shape Error",
                f"{names[i]}: {shape(wanted)}, any n in dim {dim}, along which they are joined",
                said,
                f"Dim {at} of {names[0]} is {shapes[0][at]} and of {names[i]} {one[at]}; "
                f"all dims but the joined one, {dim}, are equal.",
                [*fixes, *([f"{names[i]}.transpose({at}, {dim % rank})"] if one[dim] == shapes[0][at] else []), cut],
            )
    return None


def _stack(
    _: Operation,
    given: list[torch.Tensor],
    names: list[str],
    said: list[str],
    shapes: list[torch.Size],
    dim: int,
) -> Explanation | None:
    rank = given[0].dim() + 1
    different = next((i for i, one in enumerate(shapes) if one != shapes[0]), None)
    if different is None:
        if not -rank <= dim < rank:
            return out_of_range(f"torch.stack([{', '.join(names)}]", dim, rank, said, spelling=", dim={})")
        return None
    other = shapes[different]
    together = len(other) == len(shapes[0]) and sum(a != b for a, b in zip(other, shapes[0], strict=True)) == 1
    fixes = []
    if together:
        at = next(k for k in range(len(other)) if other[k] != shapes[0][k])
        fixes.append(f"torch.cat([{', '.join(names)}], dim={at})")
    if together and at == 0:
        fixes.append(f"torch.nn.utils.rnn.pad_sequence([{', '.join(names)}], batch_first=True)")
    return Explanation(
        "Shape Error",
        f"{names[different]}: {shape(shapes[0])}, like {names[0]}",
        said,
        f"stack puts tensors of one shape along a new dim; {names[different]} has another shape than {names[0]}.",
        fixes or [f"{names[different]}.reshape({list(shapes[0])})" if other.numel() == shapes[0].numel() else
                  f"{names[different]} with the shape {list(shapes[0])}, where it is made"],
    )  # fmt: skip


def out_of_range(call: str, dim: int, rank: int, said: list[str], spelling: str = ", {})") -> Explanation:
    """A dim that a tensor does not have."""
    last = [at for at in (-1, rank - 1) if rank]
    return Explanation(
        "Index Error",
        f"a dim from {-rank} to {rank - 1}" if rank else "a tensor with dims",
        said,
        f"dim={dim} was asked for, and there {'is 1 dim' if rank == 1 else f'are {rank} dims'}, counted from 0.",
        [call + spelling.format(at) for at in dict.fromkeys(last)]
        or [call + spelling.format(0) + "  # after unsqueeze(0)"],
    )


def _names(operation: Operation, count: int) -> list[str]:
    node = operation.nodes.get("tensors")
    elements = getattr(node, "elts", [])
    if len(elements) == count:
        return [ast.unparse(each) for each in elements]
    name = ast.unparse(node) if node is not None and isinstance(node, ast.Name | ast.Attribute) else "tensors"
    return [f"{name}[{i}]" for i in range(count)]
