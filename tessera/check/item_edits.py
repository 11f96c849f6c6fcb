"""What could stand in a tuple, a list or a slice: items in another order, one less, what is done to the one beside."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Iterator

from tessera.check.text_edit import TextEdit, edited

# In edits of one number, as in ``rewrites``.
SWAPPED = 1.1
LEFT_OUT = 1.3
AS_BESIDE = 1.0  # what is done to the item beside
KEPT = 1.05
BOUND = 1.2


def of_items(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    """Edits of what stands beside each other."""
    yield from _orders(node)
    yield from _as_items_beside(node)
    yield from _kept(node)


def _orders(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    for one, other in itertools.combinations(range(len(node.elts)), 2):
        if ast.dump(node.elts[one]) != ast.dump(node.elts[other]) and not isinstance(node.elts[one], ast.Starred):
            items = list(node.elts)
            items[one], items[other] = items[other], items[one]
            yield edited(SWAPPED + 0.05 * (other - one), node, type(node)(items, ast.Load()))
    for at in range(len(node.elts)) if isinstance(node, ast.List) and len(node.elts) > 1 else ():
        yield edited(LEFT_OUT, node, ast.List([*node.elts[:at], *node.elts[at + 1 :]], ast.Load()))


def _as_items_beside(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    """``a.mT, b.mT`` for ``a, b.mT``, and likewise for a call of a method and an index."""
    for one, other in itertools.permutations(node.elts, 2):
        new: ast.expr | None = None
        match other:
            case ast.Call(ast.Attribute(_, name), args, keywords):
                new = ast.Call(ast.Attribute(one, name, ast.Load()), args, keywords)
            case ast.Attribute(_, "T" | "mT" as name):
                new = ast.Attribute(one, name, ast.Load())
            case ast.Subscript(_, ast.Tuple() as index):
                new = ast.Subscript(one, index, ast.Load())
        if new is not None and isinstance(one, (ast.Name, ast.Attribute)):
            yield edited(AS_BESIDE, one, new)


def _kept(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    """``x[:, 7:8], x[:, 3:4]`` for ``x[:, 7], x[:, 3]``: of all alike the dimension was to be kept."""
    new: list[ast.expr] = []
    for one in node.elts:
        match one:
            case ast.Subscript(value, ast.Tuple([*first, ast.Constant(int() as at)])):
                kept = ast.Slice(ast.Constant(at), ast.Constant(at + 1))
                new.append(ast.Subscript(value, ast.Tuple([*first, kept], ast.Load()), ast.Load()))
    if new and len(new) == len(node.elts):
        yield edited(KEPT, node, type(node)(new, ast.Load()))


def of_bounds(node: ast.Slice) -> Iterator[TextEdit]:
    """Where it starts was forgotten: ``x[a : a + n]`` for ``x[a:n]``."""
    if isinstance(node.lower, (ast.Name, ast.Attribute)) and isinstance(node.upper, (ast.Name, ast.Attribute)):
        yield edited(BOUND, node.upper, ast.BinOp(copy.copy(node.lower), ast.Add(), copy.copy(node.upper)))
