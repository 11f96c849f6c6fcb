"""What a check reports: a node, what goes wrong there, and in which words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import fx

from tessera.backend.ranges.exponentials import Exponentials
from tessera.backend.ranges.finding import Kind
from tessera.backend.ranges.formats import WIDEST, Format, format_of
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.interpret import Interpretation
from tessera.backend.ranges.question import dtype_of
from tessera.backend.ranges.value_range import Range


@dataclass(frozen=True)
class Hazard:
    """Something that goes wrong at a node; see ``NumericsFinding`` for the words.

    ``hurts`` is where it is felt, if that is elsewhere.
    """

    node: fx.Node
    kind: Kind
    known: str
    consequence: str
    stable: str
    hurts: fx.Node | None = None


@dataclass(frozen=True)
class Subject:
    """What the checks look at: a graph and what is known of it."""

    graph: fx.Graph
    found: Interpretation
    sums: dict[fx.Node, Exponentials]

    def argument(self, node: fx.Node, position: int = 0) -> Range:
        return self.found.question(node).range(position)


def format_of_node(node: object) -> Format:
    """The format of a node's values; of one that is no floating tensor, that of the widest."""
    return format_of(dtype_of(node)) or WIDEST


def dtype_name(node: object) -> str:
    """Such as ``float32``."""
    return str(dtype_of(node)).removeprefix("torch.")


def span(value: Range) -> str:
    """``between 0 and 1``, in words."""
    low, high = (value.low, value.high) if value.bounded or value.reached is None else value.reached
    if math.isinf(low) and math.isinf(high):
        return "of any size"
    if math.isinf(high):
        return f"from {low:.4g} up"
    if math.isinf(low):
        return f"at most {high:.4g}"
    return f"{low:.4g}" if low == high else f"between {low:.4g} and {high:.4g}"


def word(node: object) -> str:
    """What a node computes, in the user's words: ``softmax``."""
    name = operation(node).strip("_") if isinstance(node, fx.Node) else ""
    words = {
        "linalg_vector_norm": "norm",
        "native_layer_norm": "layer_norm",
        "native_batch_norm": "batch_norm",
        "native_group_norm": "group_norm",
        "sub": "difference",
        "add": "sum",
        "mul": "product",
        "div": "quotient",
        "rsub": "difference",
        "addmm": "linear layer",
        "mm": "matrix product",
        "bmm": "matrix product",
        "cdist_forward": "cdist",
        "to_copy": "cast",
        "view": "reshape",
    }
    return words.get(name, name) or "input"


_MOVES = {
    *(
        "view",
        "_unsafe_view",
        "reshape",
        "unsqueeze",
        "squeeze",
        "expand",
        "permute",
        "transpose",
        "t",
        "alias",
        "clone",
    ),
    *(
        "detach",
        "select",
        "slice",
        "gather",
        "index",
        "getitem",
        "_to_copy",
        "lift_fresh_copy",
        "contiguous",
        "diagonal",
    ),
}


def origin(node: object) -> object:
    """What computed the values of ``node``, seen through what only moves them."""
    while isinstance(node, fx.Node) and operation(node) in _MOVES and node.args and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node
