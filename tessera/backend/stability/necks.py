"""Where a long expression is cut: at a value that all before it goes through, and that others are given too.

    x = x + a * f(x)       a residual stream: layers are alike, though the last is made of all before it
    x = normed(x + f(x))

A sum of products rounds as if its terms had been rounded, and what is a result elsewhere is looked at there. Of what is
before such a value, nothing else is used behind it: what is behind it is tried as if the value were given.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from torch import fx, nn

from tessera.backend.stability.spelling import example

LONG = 32  # operations; what is shorter is looked at as a whole


def behind_necks(
    result: fx.Node,
    found: AbstractSet[fx.Node],
    order: dict[fx.Node, int],
    is_value: Callable[[fx.Node, set[fx.Node]], bool],
) -> set[fx.Node]:
    """Of what ``result`` is made by, the operations after the farthest neck; all of them if there is none.

    ``is_value(node, before)`` says whether a node, with what is before it, may be a neck.
    """
    after, waiting, places = list[fx.Node](), {result}, list[int]()
    while waiting and len(after) <= LONG:
        last = max(waiting, key=order.__getitem__)
        if after and len(waiting) == 1 and len(last.users) > 1:
            places.append(len(after))
        after.append(last)
        waiting.remove(last)
        waiting |= {one for one in last.all_input_nodes if one in found}
    for place in reversed(places):
        before = {*found} - {*after[:place]}
        if _are_apart(after[:place], before, after[place]) and is_value(after[place], before):
            return {*after[:place]}
    return {*found}


def _are_apart(after: list[fx.Node], before: set[fx.Node], neck: fx.Node) -> bool:
    """Whether nothing but the neck, and parameters that layers share, is used on both sides of it."""
    given = {one for node in after for one in node.all_input_nodes} - {*after, neck}
    return not any(
        one in given and not isinstance(example(one), nn.Parameter) for node in before for one in node.all_input_nodes
    )
