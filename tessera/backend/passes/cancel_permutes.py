"""Permutes behind each other are one, and those that undo each other are none.

    before   b = permute(a, [0, 2, 1]); c = permute(b, [0, 2, 1]); d = view(c, [12, 50])
    after                                                           d = view(a, [12, 50])

What is returned stays the view that it was. Promise: bitwise.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from tessera.backend.rewrite import Pass
from tessera.program import Program

PERMUTE = torch.ops.aten.permute.default


def cancel_permutes(program: Program) -> int:
    """Take every permute of a permute together; returns how many there were."""
    matched = 0
    returned = set(program.results)
    for node in list(program.graph.find_nodes(op="call_function", target=PERMUTE)):
        source: Any = node.args[0]
        if source.target is not PERMUTE or node in returned:
            continue
        first, second = (_order(one) for one in (source, node))
        order, origin = [first[i] for i in second], source.args[0]
        if order == sorted(order):
            node.replace_all_uses_with(origin)
            program.graph.erase_node(node)
        else:
            node.args = origin, order
        matched += 1
    return matched


def _order(node: fx.Node) -> list[int]:
    order: Any = node.args[1]
    return [i % len(order) for i in order]


CANCEL_PERMUTES = Pass("cancel_permutes", "bitwise", cancel_permutes)
