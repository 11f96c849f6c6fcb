"""Between which numbers a node of a captured graph is, whatever it is given, where its operation says so.

normalize(x, dim=-1)                     -1 and 1
normalize(x) @ normalize(y).T            -1 and 1: cosines
x / x.norm(dim=-1, keepdim=True)         -1 and 1
"""

from __future__ import annotations

from typing import Any

from torch import fx

from tessera.backend.stability.spelling import call_of

UNIT = (-1.0, 1.0)
_LENGTHS = ("norm", "vector_norm", "linalg_norm")
_PRODUCTS = ("matmul", "mm", "bmm", "einsum")
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
    if call.name == "cosine_similarity" or _is_direction(node):
        return UNIT
    if call.name in _PRODUCTS and len(node.all_input_nodes) and all(map(_is_direction, node.all_input_nodes)):
        return UNIT
    return None


def _is_direction(node: fx.Node) -> bool:
    """Whether it is made of vectors of length 1, along the dimension that products are summed over."""
    call = call_of(node)
    if call is None:
        return False
    if call.name in _SHOWN:
        return bool(node.all_input_nodes) and all(map(_is_direction, node.all_input_nodes))
    if call.name == "div" and all(isinstance(one, fx.Node) for one in call.args[:2]):
        length = call_of(call.args[1])
        return length is not None and length.name in _LENGTHS and length.args[:1] == call.args[:1]
    return call.name == "normalize"
