"""One expression of a function, written otherwise; and what the expressions of a function stand for."""

from __future__ import annotations

import ast
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class TextEdit:
    """One expression of a function, written otherwise.

    Attributes:
        cost: in edits of one number.
        line: of the expression.
        text: what is written there instead.
        old, new: the expressions.
    """

    cost: float
    line: int
    text: str
    old: ast.expr
    new: ast.expr

    def applied(self, statement: ast.stmt) -> ast.stmt:
        """The statement with it; ``old`` is in it."""
        tree = copy.copy(statement)
        return _Replaced(self.old, self.new).visit(tree)


class _Replaced(ast.NodeTransformer):
    """Copies what is above the expression, and nothing else."""

    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> Any:
        if node is self._old:
            return self._new
        if isinstance(node, (ast.stmt, ast.expr)) and not node.lineno <= self._old.lineno <= (node.end_lineno or 0):
            return node
        return self.generic_visit(_shallow(node))


def _shallow(node: ast.AST) -> ast.AST:
    other = copy.copy(node)
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            setattr(other, name, list(value))
    return other


def edited(cost: float, old: ast.expr, new: ast.expr) -> TextEdit:
    """An edit that tells what it does."""
    new = ast.fix_missing_locations(ast.copy_location(new, old))
    return TextEdit(cost, old.lineno, f"{ast.unparse(new)} in place of {ast.unparse(old)}", old, new)


def parsed(text: str, at: ast.expr) -> ast.expr:
    """Code that is where ``at`` is."""
    code = ast.parse(text, mode="eval").body
    for node in ast.walk(code):
        ast.copy_location(node, at)
    return code


def stands_for(node: ast.expr, names: Mapping[str, Any]) -> tuple[bool, Any]:
    """Whether it is known what a name or ``self.name`` stood for, and that."""
    if isinstance(node, ast.Name):
        return node.id in names, names.get(node.id)
    if isinstance(node, ast.Attribute):
        known, owner = stands_for(node.value, names)
        if known and not isinstance(owner, torch.Tensor):
            tables = (getattr(owner, table, {}) for table in ("_modules", "_parameters", "_buffers"))
            kept = {**attributes(owner), **{name: part for table in tables for name, part in table.items()}}
            return node.attr in kept, kept.get(node.attr)
    return False, None


def attributes(value: Any) -> Mapping[str, Any]:
    """What is kept in an object under names of its own, and numbers that its class keeps."""
    try:
        own = vars(value)
    except TypeError:
        return {}
    numbers = {name: one for name, one in vars(type(value)).items() if type(one) is int}
    return {**numbers, **own} if numbers else own


def is_number(node: ast.expr, names: Mapping[str, Any]) -> bool:
    """Whether it is arithmetic of whole numbers, as far as that is known."""
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.BinOp):
        return is_number(node.left, names) and is_number(node.right, names)
    if isinstance(node, (ast.Name, ast.Attribute)):
        known, value = stands_for(node, names)
        return type(value) is int or not known
    return isinstance(node, ast.Subscript) and not isinstance(stands_for(node.value, names)[1], torch.Tensor)


def is_text(node: ast.expr) -> bool:
    """Whether it is text, with or without expressions in it."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def is_torchs(function: ast.expr) -> bool:
    """Whether what is called is a function of torch, a layer or a method of a tensor, by how it looks."""
    first = ast.unparse(function).partition(".")[0]
    return isinstance(function, ast.Attribute) and first != "self"


def makes_layer(node: ast.Call) -> bool:
    """Whether it makes an object of a class, by how that is written."""
    called = ast.unparse(node.func)
    return called.rpartition(".")[2][:1].isupper()


def loaded(node: ast.expr) -> ast.expr:
    """A copy, to be read."""
    return copy.copy(node)
