"""Which nodes have digits to spare: the expressions that they are part of are right as they are spelled.

    (1 - z) * n + z * h          1 - z loses digits where z is nearly 1, and it is next to nothing beside z * h
    -y * log(1 - z)              none to spare: a trial shows an error
    exp(normalize(x) @ normalize(y).T)    cannot overflow, as it stands

    3.5 * (tanh(x) + 1) - 5      what 1 + tanh(x) loses is next to nothing beside 5; alone it is all that there is

A rule that saves only such digits (``Rule.tried``, ``Rule.tried_beside``) is for what a trial shows to be wrong.
"""

from __future__ import annotations

import itertools

import torch
from torch import fx

from tessera.backend.stability.bounds import bounds
from tessera.backend.stability.expressions import Expression, expressions, is_of
from tessera.backend.stability.reading import Reader
from tessera.backend.stability.sampling import LOW, CannotTry, beside_labels, is_inaccurate, of_rules, usual
from tessera.backend.stability.spelling import call_of

PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)
_LOGARITHMS = ("log", "log2", "log10")
_ADDS = ("add", "sub", "lerp", "addcmul", "addcdiv")
_SCALES = ("mul", "div", "neg", "negative", "where", "masked_fill", "unsqueeze", "expand", "view", "reshape", "getitem")


def with_digits_to_spare(
    graph: fx.Graph,
    reader: Reader,
    meant: set[fx.Node],
    tried: set[fx.Node],
    beside: set[fx.Node],
    others: set[fx.Node],
) -> set[fx.Node]:
    """What is part of no expression that is wrong; ``reader`` has read the graph.

    Of ``tried``, to which only such rules apply; of what is ``beside`` something, where a trial has shown it; and of
    ``others`` those that are made of what is known to be small.
    """
    right, wrong, known = set[fx.Node](), set[fx.Node](), dict[str, bool]()
    asked = [dtype for dtype in PRECISIONS if any(is_of(node, dtype) for node in tried | beside | others)]
    every = (expressions(graph, reader, meant, dtype, short=True) for dtype in asked)
    for expression in itertools.chain.from_iterable(every):
        small = any(map(bounds, expression.leaves))
        asked_for = tried | beside | others if small else tried | beside
        if not asked_for.isdisjoint(expression.nodes):
            key = expression.structure()
            if key not in known:
                known[key] = _is_right(expression)
            if not known[key]:
                wrong.update(expression.nodes)
            else:
                right.update(expression.nodes if small else beside.intersection(expression.nodes))
    # What is in no expression is guarded, or part of one as large as a recurrent network is.
    narrow = {node for node in tried if any(is_of(node, dtype) for dtype in asked)}
    return (narrow | (right & (beside | others))) - wrong


def is_beside(node: fx.Node) -> bool:
    """Whether something is added to ``node``, or to a product of it."""
    waiting, seen = [node], {node}
    while waiting:
        for user in waiting.pop().users:
            name = getattr(call_of(user), "name", "")
            if name in _ADDS:
                return True
            if name in _SCALES and user not in seen:
                seen.add(user)
                waiting.append(user)
    return False


def _is_right(expression: Expression) -> bool:
    demand = LOW.get(expression.dtype) or of_rules(usual(expression))
    is_taken = any(map(_is_logarithm, expression.result.users))
    if is_taken or any(map(_is_logarithm, expression.nodes)):
        demand = beside_labels(demand, to_its_last_digit=is_taken)
    try:
        return not is_inaccurate(expression, demand)
    except CannotTry:
        return False


def _is_logarithm(node: fx.Node) -> bool:
    return getattr(call_of(node), "name", "") in _LOGARITHMS
