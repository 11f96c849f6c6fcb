"""What could stand in another order: arguments of a call, the sizes of a shape, two tensors that meet.

The rest of the function tells which order is likely: where ``heads`` stands before ``width`` elsewhere, it should here.
"""

from __future__ import annotations

import ast
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tessera.check.text_edit import TextEdit, edited, is_text, is_torchs, stands_for

# In edits of one number, as in ``rewrites``.
SWAPPED, SWAPPED_SIZES = 1.1, 1.2  # arguments of a function of the user's; of torch's
FARTHER = 0.05  # more, for each argument between them
TURNED = 1.1  # the other factor of a product
MET = 1.15  # two tensors that are laid out for each other
AGREES = 0.06  # less, for the order in which the same two names stand elsewhere; more for the other
ALWAYS = 0.32  # less, of a shape: where they stand elsewhere they always stand in the other order
_MAKE_NUMBERS = {"zeros", "ones", "empty", "randn", "rand", "full"}
_SHAPES = {"view", "reshape", "expand"}


def order_edits(own: Sequence[ast.AST], names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """Edits of what stands beside each other.

    Args:
        own: the statements and expressions of a function.
        names: what its local names stood for when it was left.
    """
    orders = _orders(own)
    for node in own:
        match node:
            case ast.Call(func, args) if not any(isinstance(arg, ast.Starred) or is_text(arg) for arg in args):
                if not isinstance(func, ast.Lambda):
                    yield from _swapped(node, orders)
                    yield from _moved(node)
                yield from _met(node, args, names)
            case ast.BinOp(left, op, right):
                yield from _met(node, [left, right], names)
                yield from _other_turned(node) if isinstance(op, ast.MatMult) else ()


def _swapped(node: ast.Call, orders: Counter[tuple[str, str]]) -> Iterator[TextEdit]:
    args = node.args
    for one, other in itertools.combinations(range(len(args)), 2):
        if ast.dump(args[one]) == ast.dump(args[other]):
            continue
        swapped = list(args)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        cost = SWAPPED_SIZES if is_torchs(node.func) and not _makes_numbers(node.func) else SWAPPED
        first, second = _name(args[one]), _name(args[other])
        so, otherwise = orders[first, second] - 1, orders[second, first]  # itself it says nothing
        agrees = AGREES * ((so > otherwise) - (so < otherwise)) if first and second else 0.0
        if first and second and otherwise and not so and _makes_shape(node):
            agrees = -ALWAYS
        yield edited(cost + agrees + FARTHER * (other - one - 1), node, ast.Call(node.func, swapped, node.keywords))


def _moved(node: ast.Call) -> Iterator[TextEdit]:
    """``x.view(b, c, h, w)`` for ``x.view(b, h, w, c)``: one size at another place, the others in their order."""
    if not _makes_shape(node):
        return
    for place, to in itertools.permutations(range(len(node.args)), 2):
        if abs(place - to) > 1:  # else two are swapped
            args = list(node.args)
            args.insert(to, args.pop(place))
            if ast.dump(args[to]) != ast.dump(args[place]):
                yield edited(
                    SWAPPED_SIZES + FARTHER * (abs(place - to) - 1), node, ast.Call(node.func, args, node.keywords)
                )


def _makes_shape(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr in _SHAPES


def _met(node: ast.Call | ast.BinOp, parts: Sequence[ast.expr], names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``b[:, None] - a[None]`` for ``a[:, None] - b[None]``: each is laid out as the other should be."""
    for one, other in itertools.combinations(range(len(parts)), 2):
        first, second = _laid_out(parts[one], names), _laid_out(parts[other], names)
        if first is None or second is None or first.id == second.id:
            continue
        new = list(parts)
        new[one], new[other] = _with_name(parts[one], first, second), _with_name(parts[other], second, first)
        whole = (
            ast.Call(node.func, new, node.keywords)
            if isinstance(node, ast.Call)
            else ast.BinOp(new[0], node.op, new[1])
        )
        yield edited(MET, node, whole)


def _other_turned(node: ast.BinOp) -> Iterator[TextEdit]:
    """``a @ b.T`` for ``a.T @ b``: the other factor is turned round."""
    left, right = _unturned(node.left), _unturned(node.right)
    if left is not None and right is None:
        yield edited(TURNED, node, ast.BinOp(left, node.op, _turned_as(node.right, node.left)))
    elif right is not None and left is None:
        yield edited(TURNED, node, ast.BinOp(_turned_as(node.left, node.right), node.op, right))


def _unturned(node: ast.expr) -> ast.expr | None:
    """``x`` of ``x.T`` and of ``x.transpose(-2, -1)``."""
    match node:
        case ast.Attribute(inner, "T" | "mT"):
            return inner
        case ast.Call(ast.Attribute(inner, "transpose" | "t" | "swapaxes")):
            return inner
    return None


def _turned_as(node: ast.expr, other: ast.expr) -> ast.expr:
    match other:
        case ast.Attribute(_, name):
            return ast.Attribute(node, name, ast.Load())
        case ast.Call(ast.Attribute(_, name), args, keywords):
            return ast.Call(ast.Attribute(node, name, ast.Load()), args, keywords)
    return node


def _laid_out(node: ast.expr, names: Mapping[str, Any]) -> ast.Name | None:
    """The name of a tensor that gets another layout: ``x`` of ``x.unsqueeze(1)``, ``x[:, None]``."""
    inner: ast.expr | None = None
    match node:
        case ast.Call(ast.Attribute(ast.Name() as inner, "unsqueeze" | "transpose" | "permute")):
            pass
        case ast.Subscript(ast.Name() as inner, index) if any(
            isinstance(part, ast.Constant) and part.value is None for part in ast.walk(index)
        ):
            pass
    return inner if isinstance(inner, ast.Name) and isinstance(stands_for(inner, names)[1], torch.Tensor) else None


def _with_name(node: ast.expr, old: ast.Name, new: ast.Name) -> ast.expr:
    match node:
        case ast.Call(ast.Attribute(_, name), args, keywords):
            return ast.Call(ast.Attribute(new, name, ast.Load()), args, keywords)
        case ast.Subscript(_, index):
            return ast.Subscript(new, index, ast.Load())
    return old


def _orders(own: Sequence[ast.AST]) -> Counter[tuple[str, str]]:
    """How often one name stands before another, among arguments, in tuples and in products."""
    found: Counter[tuple[str, str]] = Counter()
    for node in own:
        beside: Sequence[ast.expr] = ()
        match node:
            case ast.Call(_, args):
                beside = args
            case ast.Tuple(elts) | ast.List(elts):
                beside = elts
            case ast.BinOp(left, ast.Mult(), right):
                beside = [left, right]
        named = [name for name in map(_name, beside) if name]
        found.update(set(itertools.combinations(named, 2)))
    return found


def _name(node: ast.expr) -> str:
    """``heads`` of ``heads`` and of ``self.heads``; empty of what is no name."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _makes_numbers(function: ast.expr) -> bool:
    """Whether it is ``torch.zeros`` or the like: a weight with its sizes the other way round is as usual a slip."""
    return ast.unparse(function).removeprefix("torch.") in _MAKE_NUMBERS
