"""What stands instead of an expression in the line before or behind, where that is the same otherwise."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator


def beside(function: ast.FunctionDef) -> dict[int, ast.expr]:
    """What stands there instead, by the id of an expression.

    Another name, as in ``k = key(y); v = value(x)``; or what is done to the whole: ``a = (x * m).sum(1); b = y * n``.
    """
    found: dict[int, ast.expr] = {}
    for body in (value for node in ast.walk(function) for _, value in ast.iter_fields(node) if isinstance(value, list)):
        for first, second in itertools.pairwise(body):
            for one, other in ((first, second), (second, first)):
                if isinstance(one, ast.Assign) and isinstance(other, ast.Assign):
                    found = dict(_instead(one, other)) | found
    return found


def _instead(one: ast.Assign, other: ast.Assign) -> Iterator[tuple[int, ast.expr]]:
    if _form(one) == _form(other):
        for mine, theirs in zip(ast.walk(one), ast.walk(other), strict=True):
            match mine, theirs:
                case ast.Name(name, ast.Load()), ast.Name(another) if name != another:
                    yield id(mine), ast.Name(another, ast.Load())
    match other.value:
        case ast.Call(ast.Attribute(inner, name), args, keywords) if _looks_like(inner, one.value):
            yield id(one.value), ast.Call(ast.Attribute(one.value, name, ast.Load()), args, keywords)
        case ast.Subscript(inner, index) if _looks_like(inner, one.value):
            yield id(one.value), ast.Subscript(one.value, index, ast.Load())


def _looks_like(one: ast.AST, other: ast.AST) -> bool:
    """Whether two are the same but for names and numbers."""
    return _form(one, numbers=False) == _form(other, numbers=False)


def _form(code: ast.AST, *, numbers: bool = True) -> list[str]:
    """What code is made of, without names."""
    return [
        repr(node.value)
        if isinstance(node, ast.Constant) and (numbers or type(node.value) is not int)
        else type(node).__name__
        for node in ast.walk(code)
    ]
