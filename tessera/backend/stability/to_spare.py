"""Which nodes have digits to spare: the expressions that they are part of are right as they are spelled.

    (1 - z) * n + z * h          1 - z loses digits where z is nearly 1, and it is next to nothing beside z * h
    -y * log(1 - z)              none to spare: a trial shows an error

A rule that saves only such digits (``Rule.tried``) is for what a trial shows to be wrong.
"""

from __future__ import annotations

import torch
from torch import fx

from tessera.backend.stability.expressions import Expression, expressions
from tessera.backend.stability.reading import Reader
from tessera.backend.stability.sampling import CannotTry, is_inaccurate, usual


def with_digits_to_spare(graph: fx.Graph, reader: Reader, meant: set[fx.Node], asked: set[fx.Node]) -> set[fx.Node]:
    """Those of ``asked`` that are part of float32 expressions, all of which are right; ``reader`` has read the graph.

    What is part of none is not among them, unless some were too large to be looked at: a recurrent cell's are.
    """
    right, wrong, known, too_large = set[fx.Node](), set[fx.Node](), dict[str, bool](), list[fx.Node]()
    for expression in expressions(graph, reader, meant, torch.float32, too_large):
        if not asked.isdisjoint(expression.nodes):
            key = expression.structure()
            if key not in known:
                known[key] = _is_right(expression)
            (right if known[key] else wrong).update(expression.nodes)
    return (asked if too_large else asked & right) - wrong


def _is_right(expression: Expression) -> bool:
    try:
        return not is_inaccurate(expression, usual(expression))
    except CannotTry:
        return False
