"""What a count could have been instead: another number, a sum, a product, what is left of a larger one."""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tessera.check.text_edit import TextEdit, attributes, edited, is_number, loaded, makes_layer, stands_for

# In edits of one number, as in ``rewrites``.
NUMBER = 1.0
USUAL = (
    0.04  # more where the number becomes a larger one, less where it becomes smaller: small ones are written oftener
)
OFF_BY_ONE = 0.1  # more, of a large number: nobody takes 250 for 249
SIGN = 1.1
COMPUTED = 1.2  # a name that becomes two times itself or the half, or one more; its square, of a shape
ADDED = 1.25  # a sum of two names for two times one of them
MOVED = 1.1  # a factor, to the size beside
IN_PARTS = 1.35  # a product of which each factor is divided
POINTLESS = 0.5  # more, for what leaves nothing or one of a count
MOST_NAMES = 6
_LARGE = 32
_SIGNS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Mult, ast.Sub),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult,),
    ast.Div: (ast.FloorDiv,),
}


def other_numbers(value: int, sizes: Sequence[int]) -> Iterator[tuple[int, float]]:
    """What a number could have been, with what that costs."""
    near = [value - 1, value + 1]
    far = [value * 2, value // 2, *sizes] if value > 1 else list(sizes)
    for other in near:
        yield other, NUMBER + (USUAL if abs(other) > abs(value) else -USUAL) + OFF_BY_ONE * (value > _LARGE)
    for other in dict.fromkeys(far):
        if other != value and other not in near:
            yield other, NUMBER + 0.1


def of_sum(node: ast.BinOp, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """Arithmetic of whole numbers, with another sign or without a part."""
    if not is_number(node, names):
        return
    alike = ast.dump(node.left) == ast.dump(node.right)
    for sign in _SIGNS.get(type(node.op), ()):
        nothing = POINTLESS * (alike and sign in (ast.Sub, ast.FloorDiv))
        yield edited(SIGN + nothing, node, ast.BinOp(node.left, sign(), node.right))
    yield edited(SIGN, node, node.left)
    yield edited(SIGN, node, node.right)
    if not _is_one(node.right):
        for by in (ast.Add(), ast.Sub()):
            yield edited(COMPUTED - 0.05, node, ast.BinOp(node, by, ast.Constant(1)))
    if isinstance(node.op, ast.Mult):
        yield from _of_two_times(node, names)
        yield from _in_parts(node, names)


def _of_two_times(node: ast.BinOp, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``before + behind`` for ``2 * behind``: the two are not of one size."""
    match node:
        case ast.BinOp(ast.Constant(2), ast.Mult(), ast.Name() as count):
            others = [name for name, value in names.items() if type(value) is int and name != count.id]
            for name in others[:MOST_NAMES]:
                yield edited(ADDED, node, ast.BinOp(ast.Name(name, ast.Load()), ast.Add(), loaded(count)))


def _in_parts(node: ast.BinOp, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``(h // size) * (w // size)`` for ``h * w``: how many parts there are of that size."""
    left, right = (stands_for(part, names)[1] for part in (node.left, node.right))
    if type(left) is not int or type(right) is not int:
        return
    parts = [name for name, n in names.items() if type(n) is int and 1 < n < min(left, right)]
    for name in [name for name in parts if not left % names[name] and not right % names[name]][:MOST_NAMES]:
        factors = [
            ast.BinOp(loaded(part), ast.FloorDiv(), ast.Name(name, ast.Load())) for part in (node.left, node.right)
        ]
        yield edited(IN_PARTS, node, ast.BinOp(factors[0], ast.Mult(), factors[1]))


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1


def of_count(node: ast.Name | ast.Attribute, value: int, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """A name of a count, computed with."""
    for op, by in ((ast.Add(), 1), (ast.Sub(), 1)):
        yield edited(COMPUTED, node, ast.BinOp(loaded(node), op, ast.Constant(by)))
    for by in (2, 3, 4):
        yield edited(COMPUTED + 0.1, node, ast.BinOp(ast.Constant(by), ast.Mult(), loaded(node)))
    yield edited(COMPUTED + 0.1, node, ast.BinOp(loaded(node), ast.FloorDiv(), ast.Constant(2)))
    yield from _rests(node, value, names)


def _rests(node: ast.Name | ast.Attribute, value: int, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``self.count - self.kept`` for ``self.kept``: what is left of a larger count."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    around = names if owner is None else attributes(stands_for(owner, names)[1])
    larger = [name for name, other in around.items() if type(other) is int and other > value and name[0] != "_"]
    for name in larger[:MOST_NAMES]:
        whole = ast.Name(name, ast.Load()) if owner is None else ast.Attribute(loaded(owner), name, ast.Load())
        yield edited(COMPUTED + 0.1, node, ast.BinOp(whole, ast.Sub(), loaded(node)))


def of_sizes(node: ast.Call, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """Of a layer: what is joined to its input was forgotten."""
    numbers = [name for name, value in names.items() if type(value) is int]
    parts = [(part, part is arg) for arg in node.args[:2] for part in ast.walk(arg)]
    for part, whole in parts:
        if isinstance(part, (ast.Name, ast.Attribute)) and type(stands_for(part, names)[1]) is int:
            for name in numbers[:MOST_NAMES]:
                sign: ast.operator = ast.Add() if whole else ast.Mult()
                yield edited(COMPUTED + 0.1, part, ast.BinOp(ast.Name(name, ast.Load()), sign, copy.copy(part)))


def of_squares(node: ast.Call, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``x.view(-1, w * w)`` for ``x.view(-1, w)``; of a number that is counted with, a square grows without end."""
    shapes = isinstance(node.func, ast.Attribute) and node.func.attr in ("view", "reshape", "unflatten")
    for arg in node.args if shapes or makes_layer(node) else ():
        if isinstance(arg, (ast.Name, ast.Attribute)) and type(stands_for(arg, names)[1]) is int:
            yield edited(COMPUTED + 0.1, arg, ast.BinOp(loaded(arg), ast.Mult(), loaded(arg)))


def of_factors(node: ast.Call) -> Iterator[TextEdit]:
    """``x.view(b, c, h * w)`` for ``x.view(b, c * h, w)``."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in ("view", "reshape"):
        return
    for at, (one, other) in enumerate(itertools.pairwise(node.args)):
        pair: list[ast.expr] = []
        if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Mult):
            pair = [one.left, ast.BinOp(one.right, ast.Mult(), other)]
        elif isinstance(other, ast.BinOp) and isinstance(other.op, ast.Mult):
            pair = [ast.BinOp(one, ast.Mult(), other.left), other.right]
        if pair:
            args = [*node.args[:at], *pair, *node.args[at + 2 :]]
            yield edited(MOVED, node, ast.Call(node.func, args, node.keywords))
