"""What is known of a failed call, and what can be said about it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

import torch

from tessera.explain.operation import Operation
from tessera.explain.reading import UNKNOWN
from tessera.explain.values import described


@dataclass(frozen=True)
class Explanation:
    """What an error says.

    Attributes:
        kind: the first words, such as ``Shape Error``.
        expected: what would have been right.
        received: what was there instead, a line each.
        why: the reason, as a sentence.
        fixes: code, the likeliest first.
        said: the text that the error had.
    """

    kind: str
    expected: str
    received: list[str]
    why: str
    fixes: list[str]
    said: str = ""


@dataclass
class Failure:
    """A failed call.

    Attributes:
        error: what torch or Python raised; ``message`` is its text.
        operations: from the innermost one to the one that the user wrote.
        layer: the innermost module that was running, ``path`` its name in the model.
        written: syntax in the user's line, by the identity of the values that it stands for.
        line: syntax of what failed in the user's line.
    """

    error: Exception
    operations: list[Operation]
    layer: torch.nn.Module | None = None
    path: str = ""
    written: dict[int, ast.expr] = field(default_factory=dict)
    line: ast.AST | None = None

    @property
    def message(self) -> str:
        return str(self.error)

    def name_of(self, value: Any, otherwise: str) -> str:
        """What the user calls a value."""
        node = self.written.get(id(value))
        return otherwise if node is None else _short(node, otherwise)

    def name(self, operation: Operation, parameter: str) -> str:
        """What the user calls the value of a parameter, else the parameter's own name."""
        node = self._node(operation, parameter)
        return parameter if node is None else _short(node, parameter)

    def _node(self, operation: Operation, parameter: str) -> ast.expr | None:
        """The syntax of a value in the user's line."""
        value, outer = operation.values.get(parameter), self.operations[-1]
        if operation is outer and parameter in operation.nodes:
            return operation.nodes[parameter]
        if id(value) in self.written:
            return self.written[id(value)]
        same = [name for name, each in outer.values.items() if each is value and name in outer.nodes]
        return outer.nodes[same[0]] if len(same) == 1 and value is not UNKNOWN else None

    def received(self, operation: Operation, *parameters: str) -> list[str]:
        """A line for each parameter: its name and what it was."""
        named = parameters or tuple(operation.tensors())
        lines = [f"{self.name(operation, each)}: {described(operation.values.get(each))}" for each in named]
        return list(dict.fromkeys(lines))

    def rewritten(self, operation: Operation, **edits: str) -> str:
        """The user's own code with other arguments; ``{}`` in an edit stands for the argument as it is."""
        call = self.line if isinstance(self.line, ast.expr) else None
        changes: dict[ast.AST, ast.expr] = {}
        for parameter, edit in edits.items():
            node = self._node(operation, parameter)
            text = ast.unparse(node) if node is not None else parameter
            simple = node is None or isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
            new = edit.format(text if simple or not edit.startswith("{}.") else f"({text})")
            if call is None or node is None or not _inside(node, call):
                return new
            changes[node] = ast.Name(new, ast.Load())
        return ast.unparse(_Replacing(changes).visit(call)) if call is not None else ""


_LONGEST_NAME = 60


def _short(node: ast.expr, otherwise: str) -> str:
    text = ast.unparse(node)
    return text if len(text) <= _LONGEST_NAME else otherwise


def _inside(node: ast.AST, tree: ast.AST) -> bool:
    return any(each is node for each in ast.walk(tree))


class _Replacing(ast.NodeTransformer):
    """A copy of syntax with some nodes replaced; the original stays as it is, for it is remembered."""

    def __init__(self, changes: dict[ast.AST, ast.expr]) -> None:
        self._changes = changes

    def visit(self, node: ast.AST) -> Any:
        if node in self._changes:
            return self._changes[node]
        fields = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                fields[name] = [self.visit(each) if isinstance(each, ast.AST) else each for each in value]
            else:
                fields[name] = self.visit(value) if isinstance(value, ast.AST) else value
        return type(node)(**fields)
