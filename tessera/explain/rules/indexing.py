"""Positions that a tensor does not have: ``x[i]``, ``gather``, ``embedding``, masks."""

from __future__ import annotations

import ast

import torch

from tessera.explain.failure import Explanation, Failure
from tessera.explain.operation import Operation
from tessera.explain.repairs import repairs
from tessera.explain.values import described, dtype, layer, shape

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def embedding(failure: Failure, operation: Operation) -> Explanation | None:
    """A number that is not a row of the table, or that is no whole number."""
    index, weight = operation.values.get("input"), operation.values.get("weight")
    if not isinstance(index, torch.Tensor) or not isinstance(weight, torch.Tensor) or weight.dim() != 2:
        return None
    name, rows = failure.name(operation, "input"), weight.shape[0]
    own = isinstance(failure.layer, torch.nn.Embedding) and failure.layer.weight is weight
    table = layer(failure.layer) if own else "the table"  # type: ignore[arg-type]
    if index.dtype not in (torch.int64, torch.int32):
        said = failure.received(operation, "input")
        why = f"An embedding looks up rows by whole numbers, and {name} holds {dtype(index.dtype)} values."
        return Explanation(
            "Dtype Error", f"{name}: int64", said, why, [failure.rewritten(operation, input="{}.long()")]
        )
    found = _outside(index, rows, negative=False)
    if found is None:
        return None
    low, high = found
    wrong = low if low < 0 else high
    where = f" for {failure.path}" if own and failure.path else ""
    fixes = [f"nn.Embedding({wrong + 1}, {weight.shape[1]}){f'  #{where}' if where else ''}"] if wrong >= 0 else []
    fixes.append(
        failure.rewritten(operation, input=f"{{}}.clamp(0, {rows - 1})") + "  # if they stand for the last row"
    )
    if wrong == rows and low >= 1:
        fixes.insert(0, failure.rewritten(operation, input="{} - 1") + "  # if they count from 1")
    if low < 0:
        fixes.insert(0, failure.rewritten(operation, input="{}.where({} >= 0, 0)".replace("{} >=", f"{name} >=")))
    return Explanation(
        "Index Error",
        f"{name}: values from 0 to {rows - 1}, the rows of {table}",
        [f"{failure.received(operation, 'input')[0]} with values from {low} to {high}"],
        f"{wrong} is no row of {table}, which has {rows} rows.",
        fixes,
    )


def _outside(index: torch.Tensor, size: int, *, negative: bool) -> tuple[int, int] | None:
    """The least and the largest number, if one of them is no position."""
    if index.is_meta or index.numel() == 0 or index.dtype not in INTEGERS:
        return None
    low, high = int(index.min()), int(index.max())
    return (low, high) if high >= size or low < (-size if negative else 0) else None


def along_dim(failure: Failure, operation: Operation) -> Explanation | None:
    """``gather``, ``index_select``, ``scatter`` and their kin: positions along one dim."""
    x, dim, index = (operation.values.get(key) for key in ("input", "dim", "index"))
    if not isinstance(x, torch.Tensor) or not isinstance(dim, int) or not -x.dim() <= dim < max(x.dim(), 1):
        return None
    name, called = failure.name(operation, "index"), failure.name(operation, "input")
    if isinstance(index, int):
        return _position(x, index, dim, called)
    if not isinstance(index, torch.Tensor):
        return None
    said = failure.received(operation, "input", "index")
    if index.dtype is not torch.int64 and index.dtype is not torch.int32:
        why = f"Positions are whole numbers, and {name} holds {dtype(index.dtype)} values."
        return Explanation(
            "Dtype Error", f"{name}: int64", said, why, [failure.rewritten(operation, index="{}.long()")]
        )
    if operation.name.startswith("index_"):
        if index.dim() > 1:
            why = f"{operation.name} takes a list of positions, and {name} has {index.dim()} dims."
            fixes = [failure.rewritten(operation, index="{}.flatten()"), f"{called}.gather({dim}, {name})"]
            return Explanation("Shape Error", f"{name} with 1 dim", said, why, fixes)
    elif index.dim() != x.dim():
        why = f"{operation.name} takes as many dims of {name} as {called} has: {index.dim()} are not {x.dim()}."
        missing = x.dim() - index.dim()
        fixes = [failure.rewritten(operation, index=f"{{}}.unsqueeze({at})") for at in (-1, 0)] if missing == 1 else []
        return Explanation(
            "Shape Error", f"{name} with {x.dim()} dims", said, why, fixes or [f"{name} with {x.dim()} dims"]
        )
    found = _outside(index, x.shape[dim], negative=False)
    if found is not None:
        wrong = found[0] if found[0] < 0 else found[1]
        return Explanation(
            "Index Error",
            f"{name}: values from 0 to {x.shape[dim] - 1}, the positions in dim {dim} of {called}",
            [said[0], f"{said[1]} with values from {found[0]} to {found[1]}"],
            f"{wrong} is no position in dim {dim} of {called}, whose size is {x.shape[dim]}.",
            [failure.rewritten(operation, index=f"{{}}.clamp(0, {x.shape[dim] - 1})"),
             *(failure.rewritten(operation, dim=str(other)) for other in range(x.dim())
               if other != dim % x.dim() and found[1] < x.shape[other] and found[0] >= 0)],
        )  # fmt: skip
    for at in range(x.dim()) if operation.name == "gather" else ():
        if at != dim % x.dim() and index.shape[at] > x.shape[at]:
            return Explanation(
                "Shape Error",
                f"{name}: at most {x.shape[at]} in dim {at}",
                said,
                f"gather goes through the other dims side by side: dim {at} of {name} is {index.shape[at]}, "
                f"and of {called} {x.shape[at]}.",
                [f"{called}.expand(...).gather({dim}, {name})", f"{called}.take_along_dim({name}, {dim})"],
            )
    return None


def _position(x: torch.Tensor, index: int, dim: int, name: str) -> Explanation | None:
    size = x.shape[dim] if x.dim() else 0
    if -size <= index < size:
        return None
    return Explanation(
        "Index Error",
        f"a position from {-size} to {size - 1} in dim {dim} of {name}",
        [f"{name}: {described(x)}, and the position {index}"],
        f"Positions are counted from 0: dim {dim} of {name} has {size}, and the last one is {size - 1}.",
        [f"{name}.select({dim}, -1)", f"{name}.select({dim}, {max(size - 1, 0)})"],
    )


def subscript(failure: Failure, operation: Operation) -> Explanation | None:
    """``x[...]``: too many positions, one that is not there, or a mask of another shape."""
    x, index = operation.values.get("input"), operation.values.get("index")
    if not isinstance(x, torch.Tensor):
        return None
    parts = list(index) if isinstance(index, tuple) else [index]
    words = _words(operation, parts)
    name, said = failure.name(operation, "input"), failure.received(operation, "input")
    if (
        operation.name == "setitem"
        and "shape mismatch" not in failure.message
        and "index" not in failure.message.lower()
    ):
        return None
    taken = sum(_dims_taken(part) for part in parts)
    if taken > x.dim():
        return Explanation(
            "Index Error",
            f"at most {x.dim()} positions" if x.dim() else "a tensor with dims",
            said,
            f"{name} has {x.dim()} dims, and {taken} of them are indexed.",
            [f"{name}[{', '.join(words[: x.dim()])}]", f"{name}.unsqueeze(0)[...]"]
            if x.dim()
            else [f"{name}.item()", name],
        )
    at = 0
    for n, part in enumerate(parts):
        if part is ...:
            at = x.dim() - sum(_dims_taken(p) for p in parts[n + 1 :])
        elif isinstance(part, int) and not isinstance(part, bool):
            if explained := _position(x, part, at, name):
                size = x.shape[at]
                fixes = [
                    f"{name}[{', '.join(str(new) if k == n else word for k, word in enumerate(words))}]"
                    for new in (-1, size - 1)
                ]
                return Explanation(explained.kind, explained.expected, said, explained.why, fixes if size else [name])
        elif isinstance(part, torch.Tensor) and (explained := _by_tensor(x, part, at, name, said, words[n])):
            return explained
        at += _dims_taken(part)
    tensors = [part for part in parts if isinstance(part, torch.Tensor)]
    if "shape mismatch" in failure.message and len(tensors) > 1:
        return Explanation(
            "Shape Error",
            "index tensors whose shapes broadcast",
            [
                *said,
                *(
                    f"{word}: {described(part)}"
                    for word, part in zip(words, parts, strict=True)
                    if isinstance(part, torch.Tensor)
                ),
            ],
            "Several index tensors are taken side by side, element by element, so their shapes have to go together.",
            [f"{name}[{words[0]}[:, None], {', '.join(words[1:])}]  # rows by columns"],
        )
    return None


def _by_tensor(
    x: torch.Tensor, part: torch.Tensor, at: int, name: str, said: list[str], index: str
) -> Explanation | None:
    told = [*said, f"{index}: {described(part)}"]
    if part.dtype is torch.bool:
        covered = x.shape[at : at + part.dim()]
        if part.shape == covered:
            return None
        behind = tuple(x.shape[-part.dim() :]) == tuple(part.shape)
        before = ":, " * (x.dim() - part.dim())
        cut = f"{name}[{index}[:{covered[0]}]]" if len(covered) else f"{name}[{index}.any()]"
        return Explanation(
            "Index Error",
            f"a mask of shape {list(covered)}",
            told,
            f"A mask says for each position of {name} whether it is taken, and its shape is another.",
            [f"{name}[{before}{index}]"] if behind else [cut, "a mask made from the tensor that it is used on"],
        )
    if part.dtype not in INTEGERS:
        why = f"An index holds whole numbers or True and False, and this one holds {dtype(part.dtype)} values."
        return Explanation(
            "Dtype Error", "an int64 or bool index", told, why, [f"{name}[{index}.long()]", f"{name}[{index} > 0]"]
        )
    found = _outside(part, x.shape[at], negative=True)
    if found is None:
        return None
    size = x.shape[at]
    wrong = found[1] if found[1] >= size else found[0]
    return Explanation(
        "Index Error",
        f"positions from {-size} to {size - 1} in dim {at} of {name}",
        [*said, f"{index}: {described(part)} with values from {found[0]} to {found[1]}"],
        f"{wrong} is no position in dim {at} of {name}, whose size is {size}.",
        [f"{name}[{':, ' * at}{index}.clamp(0, {size - 1})]",
         *(f"{name}[{':, ' * other}{index}]" for other in range(x.dim()) if other != at and found[1] < x.shape[other])],
    )  # fmt: skip


def _words(operation: Operation, parts: list[object]) -> list[str]:
    """What stands between the brackets, part by part."""
    node = operation.nodes["index"]
    written = node.elts if isinstance(node, ast.Tuple) else [node]
    return [ast.unparse(each) for each in written] if len(written) == len(parts) else [_text(part) for part in parts]


def _dims_taken(part: object) -> int:
    if part is None or part is ... or isinstance(part, bool):
        return 0
    if isinstance(part, torch.Tensor):
        return part.dim() if part.dtype is torch.bool else 1
    return 1


def _text(part: object) -> str:
    if isinstance(part, slice):
        ends = ["" if end is None else str(end) for end in (part.start, part.stop)]
        return ":".join(ends) + (f":{part.step}" if part.step is not None else "")
    return "..." if part is ... else "index" if isinstance(part, torch.Tensor) else str(part)


def mask(failure: Failure, operation: Operation) -> Explanation | None:
    """``masked_fill`` and ``masked_select``: a mask that is none, or does not broadcast."""
    x, flags = operation.values.get("input"), operation.values.get("mask")
    if not isinstance(x, torch.Tensor) or not isinstance(flags, torch.Tensor):
        return None
    name, said = failure.name(operation, "mask"), failure.received(operation, "input", "mask")
    if flags.dtype is not torch.bool:
        why = f"A mask holds True and False, and {name} holds {dtype(flags.dtype)} values."
        fixes = [failure.rewritten(operation, mask=edit) for edit in ("{}.bool()", "{} == 0")]
        return Explanation("Dtype Error", f"{name}: bool", said, why, fixes)

    def fits(**edited: torch.Tensor) -> bool:
        try:
            return torch.broadcast_shapes(edited.get("mask", flags).shape, x.shape) == x.shape
        except RuntimeError:
            return False

    if fits():
        return None
    fixes = repairs(failure, operation, ("mask",), fits, dims_first=True)
    filled = failure.name(operation, "input")
    why = f"The mask says for each position of {filled} whether it is filled, and its shape does not fit."
    return Explanation(
        "Shape Error", f"{name} that broadcasts to {shape(x.shape)}", said, why, fixes or [f"{name} of that shape"]
    )
