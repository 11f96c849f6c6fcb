"""Where in a function an edit is dearer, or cheaper, than one of its kind: who writes it there means it."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tessera.check.rewrites import LAST
from tessera.check.text_edit import TextEdit, makes_layer

# In edits of one number, as in ``rewrites``.
SAID_TWICE = 0.4  # more, where the name is that of the argument: `dilation=dilation`
OF_SHAPE = 0.2  # more, for the 0 of `x.shape[0]`: the size of another dimension
SWAPPED_SLICES = 0.1  # more, of an index
OF_LIKE = 0.5  # less, for another tensor where only its shape is asked for: `torch.zeros_like(x)`
JOINED = 0.35  # less, for another tensor that is joined: it must fit in all dimensions but one, and what follows
FACTOR = 0.12  # less, for a factor of a product that is turned round in vain: `x @ w.T`
THOUGHT_OF = 0.15  # more, in what is one thing or another: ``n if last else 2 * n``
POINTLESS = 0.5  # more, for a slice from 0 on, or a factor 1: who writes one means more
ONE_OF_A_SIZE, TIMES_A_SIZE = 0.15, 0.1  # more, for one more than a size of a layer; less, for some times that


class Usage:
    """Of the places of a function.

    Args:
        function: its text.
        own: its statements and expressions.
        names: what its local names stood for when it was left.
    """

    def __init__(self, function: ast.FunctionDef, own: Sequence[ast.AST], names: Mapping[str, Any]) -> None:
        every = list(ast.walk(function))
        calls = [node for node in every if isinstance(node, ast.Call)]
        indices = [node for node in every if isinstance(node, ast.Subscript)]
        keywords = [node for node in every if isinstance(node, ast.keyword)]
        products = [node for node in every if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)]
        factors = {id(part) for node in products for part in (node.left, node.right) if _is_turned(part)}
        said_twice = {id(one.value) for one in keywords if ast.unparse(one.value).rpartition(".")[2] == one.arg}
        of_shapes = {id(node.slice) for node in indices if _is_shape(node)}
        ends = {id(node.operand) for node in every if isinstance(node, ast.UnaryOp) and _is_last(node)}
        several = {id(node.slice) for node in indices if isinstance(node.slice, ast.Tuple)}
        likes = {id(node.args[0]) for node in calls if _asks_for_a_shape(node)}
        joined = {id(part) for node in calls for part in _joined(node) if _is_tensor(part, names)}
        cases = {id(part) for node in every if isinstance(node, ast.IfExp) for part in ast.walk(node)}
        self._more: dict[int, float] = {}
        for places, more in (
            (of_shapes - said_twice, OF_SHAPE),
            (said_twice, SAID_TWICE),
            (ends, LAST),
            (several, SWAPPED_SLICES),
            (likes, -OF_LIKE),
            (joined, -JOINED),
            (cases, THOUGHT_OF),
            (factors, -FACTOR),
        ):
            for place in places:
                self._more[place] = self._more.get(place, 0.0) + more
        self._starts = {id(node.lower) for node in every if isinstance(node, ast.Slice)}
        self._idle = dict(pair for node in every if isinstance(node, ast.BinOp) for pair in _idle(node))
        self._of_sizes = _sizes_of(own)

    def more(self, node: ast.expr, edit: TextEdit) -> float:
        """What an edit of an expression costs more."""
        number = edit.new.value if isinstance(edit.new, ast.Constant) else None
        nothing = (id(node) in self._starts and number == 0) or (
            id(node) in self._idle and self._idle[id(node)] == number
        )
        return (
            self._more.get(id(node), 0.0) + self._of_sizes.get(id(node), {}).get(_how(edit), 0.0) + POINTLESS * nothing
        )


def _is_shape(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Attribute) and node.value.attr == "shape"


def _is_last(node: ast.UnaryOp) -> bool:
    """Whether it is the -1 of a last axis."""
    return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == 1


def _idle(node: ast.BinOp) -> Iterator[tuple[int, int]]:
    """The parts of arithmetic, each with the number with which it does nothing: ``1 * n``, ``n - 0``."""
    number = 1 if isinstance(node.op, (ast.Mult, ast.FloorDiv, ast.Pow)) else 0
    yield id(node.right), number
    if isinstance(node.op, (ast.Mult, ast.Add, ast.Pow)):
        yield id(node.left), number


def _is_turned(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("T", "mT", "H")


def _asks_for_a_shape(node: ast.Call) -> bool:
    """Whether it is ``torch.zeros_like(x)`` or the like: of ``x`` nothing is used but how it looks."""
    name = ast.unparse(node.func).rpartition(".")[2]
    return name.endswith(("_like", "_as")) and bool(node.args) and isinstance(node.args[0], ast.Name)


def _joined(node: ast.Call) -> Sequence[ast.expr]:
    """What is put together in a list, or in a tuple."""
    match node:
        case ast.Call(function, [ast.List(elts) | ast.Tuple(elts), *_]) if ast.unparse(function).endswith(
            (".cat", ".concat")
        ):
            return elts
    return ()


def _is_tensor(node: ast.expr, names: Mapping[str, Any]) -> bool:
    return isinstance(node, ast.Name) and isinstance(names.get(node.id), torch.Tensor)


def _sizes_of(own: Sequence[ast.AST]) -> dict[int, Mapping[str, float]]:
    """What another count costs more, or less, where it is a size of a layer or of a shape: none is one more there."""
    found: dict[int, Mapping[str, float]] = {}
    for call in own:
        if isinstance(call, ast.Call) and not ast.unparse(call.func).endswith("Embedding"):
            layer = makes_layer(call)
            if layer or (isinstance(call.func, ast.Attribute) and call.func.attr in ("view", "reshape")):
                how = {"one more": ONE_OF_A_SIZE, "times": -TIMES_A_SIZE * layer}
                found |= {id(part): how for arg in call.args for part in ast.walk(arg)}
    return found


def _how(edit: TextEdit) -> str:
    """How a count becomes another: one more or less, or some times itself."""
    match edit.new:
        case ast.BinOp(_, ast.Add() | ast.Sub(), ast.Constant(1)):
            return "one more"
        case ast.BinOp(ast.Constant(), ast.Mult(), _):
            return "times"
    return ""
