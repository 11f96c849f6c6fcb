"""Hazards that the program itself takes care of: what is wrong is not chosen, or replaced.

``torch.where(n > 0, total / n, 0.)`` divides by zero and never shows it.
"""

from __future__ import annotations

from torch import fx

from tessera.backend.ranges.finding import Kind
from tessera.backend.ranges.hazard import Hazard, origin
from tessera.backend.ranges.identity import operation
from tessera.backend.ranges.interpret import Interpretation

_FAR = 8  # operations between what goes wrong and what replaces it
_CHOOSES = {"where", "masked_fill"}
_SAYS = {"gt", "ge", "lt", "le", "eq", "ne", "isnan", "isinf", "isfinite"}
_LIKE = {"full_like", "zeros_like", "ones_like", "empty_like", "rand_like", "randn_like"}
_JOINS = {"logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not", "mul", "abs"}


def is_replaced(hazard: Hazard, found: Interpretation) -> bool:
    """Whether every use of the node ends where values are chosen by a look at what it was computed from.

    Digits that are lost are lost near the border of what is chosen too.
    """
    if hazard.kind in (Kind.CANCELLATION, Kind.ACCUMULATION):
        return False
    sources = {found.identity.content(one) for one in _arguments(hazard.node)} - {-1}

    def ends_well(node: fx.Node, left: int) -> bool:
        return bool(node.users) and left > 0 and all(chosen(user, node, left) for user in node.users)

    def chosen(user: fx.Node, node: fx.Node, left: int) -> bool:
        name = operation(user)
        if name == "nan_to_num":
            return True
        if name in _CHOOSES:
            condition = user.args[0] if name == "where" else user.args[1]
            return condition is not node and _looks_at(condition, sources, found)
        if name in _SAYS | _LIKE:
            return True  # a look at it, for somebody's condition, or at its sizes
        return name in _PASSES and ends_well(user, left - 1)

    return ends_well(hazard.node, _FAR)


_PASSES = {
    *("abs", "mul", "neg", "sub", "add", "div", "view", "unsqueeze", "squeeze", "expand", "_to_copy", "clone"),
    *("minimum", "maximum", "clamp", "clamp_min", "clamp_max", "floor", "round"),
}


def _arguments(node: fx.Node) -> list[object]:
    """What a node was computed from, and what that is without a change of shape."""
    direct = list(node.all_input_nodes)
    inner = [one for arg in direct for one in arg.all_input_nodes]
    deeper = [one for arg in inner for one in arg.all_input_nodes]
    everything = [node, *direct, *inner, *deeper]
    return [*everything, *(origin(one) for one in everything)]


def _looks_at(condition: object, sources: set[int], found: Interpretation) -> bool:
    todo = [origin(condition)]
    for _ in range(16):
        if not todo:
            return False
        one = todo.pop()
        if not isinstance(one, fx.Node):
            continue
        if found.identity.content(one) in sources:
            return True
        if operation(one) in _SAYS | _JOINS:
            todo += [origin(arg) for arg in one.args]
    return False
