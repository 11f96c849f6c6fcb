"""Between which numbers a node of a captured graph is, whatever it is given, where its operation says so.

normalize(x, dim=-1)                     -1 and 1
normalize(x) @ normalize(y).T            -1 and 1: cosines
x / x.norm(dim=-1, keepdim=True)         -1 and 1
"""

from __future__ import annotations

from typing import Any

from torch import fx

from tessera.backend.stability.spelling import Call, call_of, example

UNIT = (-1.0, 1.0)
_LENGTHS = ("norm", "vector_norm", "linalg_norm")
_EUCLIDEAN = (None, "fro", 2, 2.0)
_SHOWN = (
    "transpose",
    "t",
    "permute",
    "view",
    "reshape",
    "flatten",
    "detach",
    "contiguous",
    "getattr",
    "cat",
    "getitem",
)


def bounds(node: Any) -> tuple[float, float] | None:
    """The least and the largest that ``node`` can be; None where that is not known."""
    call = call_of(node) if isinstance(node, fx.Node) else None
    if call is None:
        return None
    if call.name == "cosine_similarity" or _is_small(node) or _is_product_of_directions(call):
        return UNIT
    return None


def _is_small(node: fx.Node) -> bool:
    """Whether each number is one of a vector of length 1."""
    call = call_of(node)
    if call is None:
        return False
    if call.name in _SHOWN:
        return bool(node.all_input_nodes) and all(map(_is_small, node.all_input_nodes))
    return call.name == "normalize" or _divided_by_length(call) is not None


def _is_product_of_directions(call: Call) -> bool:
    """Whether it is sums of products of numbers of two vectors of length 1."""
    if len(call.args) == 3 and call.name == "einsum" and isinstance(call.args[0], str):
        places, *operands = _einsum_places(call.args[0]), *call.args[1:]
    elif len(call.args) == 2 and call.name in ("matmul", "mm", "bmm"):
        operands = list(call.args)
        places = [-1, -min(2, example(operands[1]).dim())]
    else:
        return False
    return len(places) == 2 and all(
        isinstance(one, fx.Node) and (along := _direction(one)) is not None and along == at % example(one).dim()
        for one, at in zip(operands, places, strict=True)
    )


def _einsum_places(equation: str) -> list[int]:
    """Where in two operands the one letter stands that is summed over; nothing for other equations."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    first, _, second = inputs.partition(",")
    summed = (set(first) | set(second)) - set(output)
    if not arrow or "." in equation or len(summed) != 1 or len({*first}) < len(first) or len({*second}) < len(second):
        return []
    (letter,) = summed
    return [first.index(letter), second.index(letter)] if letter in first and letter in second else []


def _direction(node: fx.Node) -> int | None:
    """The dimension along which a node is vectors of length 1, or of 0; None where it is not known to be that."""
    call = call_of(node)
    if call is None:
        return None
    rank = example(node).dim()
    if call.name == "normalize":
        dim = call.get(2, "dim", 1)
        return dim % rank if call.get(1, "p", 2.0) in _EUCLIDEAN and isinstance(dim, int) else None
    if call.name in ("detach", "contiguous") and len(call.args) == 1:
        return _direction(call.args[0])
    if rank == 2 and (call.name == "t" or (call.name == "getattr" and call.args[1] in ("T", "mT"))):
        return _turned(call.args[0], 0, 1)
    if call.name == "transpose":
        one, other = call.get(1, "dim0"), call.get(2, "dim1")
        return _turned(call.args[0], one % rank, other % rank) if type(one) is type(other) is int else None
    return _divided_by_length(call)


def _turned(source: Any, one: int, other: int) -> int | None:
    along = _direction(source) if isinstance(source, fx.Node) else None
    return {one: other, other: one}.get(along, along) if along is not None else None


def _divided_by_length(call: Call) -> int | None:
    """The dimension along which ``x / x.norm(dim=..., keepdim=True)`` is of length 1."""
    if call.name != "div" or not all(isinstance(one, fx.Node) for one in call.args[:2]):
        return None
    length, rank = call_of(call.args[1]), example(call.args[0]).dim()
    if length is None or length.name not in _LENGTHS or length.args[:1] != call.args[:1]:
        return None
    order, dim = length.get(1, "ord" if "_norm" in length.name else "p"), length.get(2, "dim")
    dim = dim[0] if isinstance(dim, (tuple, list)) and len(dim) == 1 else dim
    if order not in _EUCLIDEAN or not isinstance(dim, int) or example(call.args[1]).dim() != rank:
        return None
    return dim % rank
