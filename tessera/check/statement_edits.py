"""What a whole statement could have said: what grows with its loop, what a function is given, a sum that is missing."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import nn

from tessera.check.rewrites import TAKEN
from tessera.check.text_edit import TextEdit, edited, is_number, is_torchs, loaded, makes_layer, parsed, stands_for

# In edits of one number, as in ``rewrites``.
GROWS = 1.25  # a number that becomes as many times itself as the turn of its loop
HANDED = 1.4  # a name that becomes a number, where it is given to a function of the user's
COUNTED = 1.05  # a name that becomes what is counted of it in another line
TURNED_ROUND = 1.35  # what a layer is given, and what it gives
SQUARED = 1.3  # a count that is meant along two sides
_SUMMED = TAKEN - 0.05
_ONE = 1.0  # a dimension of size 1, where what is made gets a name at once


def statement_edits(own: Sequence[ast.AST], names: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[TextEdit]:
    """Edits of what a function does.

    Args:
        own: the statements and expressions of the function.
        names: what its local names stood for when it was left.
        sizes: numbers that may be what should stand where another does.
    """
    yield from _of_loops(own, names)
    yield from _as_counted_elsewhere(own, names)
    yield from _of_layers_turned([node for node in own if isinstance(node, ast.Call)], names)
    yield from _of_handed([node for node in own if isinstance(node, ast.Call)], names, sizes)
    for node in own:
        if isinstance(node, ast.Assign):
            if isinstance(node.value, ast.BinOp) and is_number(node.value, names):
                yield edited(SQUARED, node.value, ast.BinOp(node.value, ast.Pow(), ast.Constant(2)))
            yield from _of_ones(node.value)
            if isinstance(node.targets[0], ast.Name):
                yield from _of_objects(node.value, names, names.get(node.targets[0].id))


def _of_loops(own: Sequence[ast.AST], names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """What grows from turn to turn: ``first + i * step`` for ``first + step``, what the turn is about for a number."""
    for loop in own:
        targets: list[ast.expr] = []
        if isinstance(loop, ast.For):
            targets = [loop.target]
        elif isinstance(loop, (ast.ListComp, ast.GeneratorExp)):
            targets = [one.target for one in loop.generators]
        counts = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        counts = [name for name in counts if type(names.get(name)) is int]
        for node in ast.walk(loop) if counts else ():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and type(node.value.value) is int:
                yield from (edited(GROWS, node.value, ast.Name(name, ast.Load())) for name in counts)
            for part in (node.left, node.right) if isinstance(node, ast.BinOp) else ():
                if _is_count(part, names) and ast.unparse(part) not in counts:
                    yield edited(GROWS, part, ast.BinOp(ast.Name(counts[0], ast.Load()), ast.Mult(), loaded(part)))


def _as_counted_elsewhere(own: Sequence[ast.AST], names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``channels // ratio`` for the ``channels`` that a layer is made with, where the function says so elsewhere."""
    counted = {ast.unparse(one): one for one in own if isinstance(one, ast.BinOp) and is_number(one, names)}
    for call in (one for one in own if isinstance(one, ast.Call) and makes_layer(one)):
        for arg in (*call.args, *(keyword.value for keyword in call.keywords)):
            if _is_count(arg, names):
                for one in counted.values():
                    if any(ast.unparse(part) == ast.unparse(arg) for part in ast.walk(one)):
                        yield edited(COUNTED, arg, loaded(one))


def _of_layers_turned(calls: Sequence[ast.Call], names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``self.norm(x.transpose(1, 2)).transpose(1, 2)`` for ``self.norm(x)``: the layer takes what is last second."""
    for call in calls:
        known, layer = stands_for(call.func, names)
        if not known or not isinstance(layer, nn.Module) or len(call.args) != 1 or call.keywords:
            continue
        given = ast.unparse(call.args[0])
        given = given if isinstance(call.args[0], (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) else f"({given})"
        for there, back in _TURNS:
            yield edited(TURNED_ROUND, call, parsed(f"{ast.unparse(call.func)}({given}{there}){back}", call))


_TURNS = (
    (".transpose(1, 2)", ".transpose(1, 2)"),
    (".permute(0, 3, 1, 2)", ".permute(0, 2, 3, 1)"),
    (".permute(0, 2, 3, 1)", ".permute(0, 3, 1, 2)"),
)


def _is_count(node: ast.expr, names: Mapping[str, Any]) -> bool:
    return isinstance(node, (ast.Name, ast.Attribute)) and type(stands_for(node, names)[1]) is int


def _of_handed(calls: Sequence[ast.Call], names: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[TextEdit]:
    """A number in place of a name that a function of the user's is given."""
    for call in calls:
        if not is_torchs(call.func) and not makes_layer(call):
            for arg in (one for one in call.args if _is_count(one, names)):
                others = (size for size in sizes if size != stands_for(arg, names)[1])
                yield from (edited(HANDED, arg, ast.Constant(size)) for size in others)


def _of_ones(node: ast.expr) -> Iterator[TextEdit]:
    """``torch.ones(n, 1)`` for ``torch.ones(n)``."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) in _MAKE_NUMBERS and node.args:
        for at in range(len(node.args) + 1) if not isinstance(node.args[0], (ast.Tuple, ast.List)) else ():
            args = [*node.args[:at], ast.Constant(1), *node.args[at:]]
            yield edited(_ONE, node, ast.Call(node.func, args, node.keywords))


_MAKE_NUMBERS = {f"torch.{name}" for name in ("zeros", "ones", "empty", "randn", "rand")}


def _of_objects(node: ast.expr, names: Mapping[str, Any], made: Any) -> Iterator[TextEdit]:
    """A sum over what an object of the user's gave: ``policy.log_prob(actions)`` has a number for each action."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not isinstance(made, torch.Tensor):
        return
    known, owner = stands_for(node.func.value, names)
    if not known or isinstance(owner, (torch.Tensor, nn.Module, ModuleType)):
        return
    for axis in range(-1, -made.dim() - 1, -1):
        yield edited(_SUMMED, node, parsed(f"{ast.unparse(node)}.sum({axis})", node))
