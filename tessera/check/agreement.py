"""What the rest of a program says of an edit of its text: names of parameters, numbers that stand elsewhere too."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

NAMED_SO = 0.15  # less, for an argument that has the name of its parameter then; more, for one that has it now
NEW = 0.12  # more, for a number that stands nowhere else in place of one that does
_SMALL = 4  # numbers that stand everywhere


class Agreement:
    """Of the functions that a text calls, and of its numbers.

    Args:
        function: the text.
        around: the class that it is a method of, or itself.
        parameters: of the user's functions, by their names.
    """

    def __init__(
        self, function: ast.FunctionDef, around: ast.AST | None, parameters: Mapping[str, Sequence[str]]
    ) -> None:
        self._numbers = numbers_in(around or function)
        self._given: dict[int, str] = {}
        for call in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
            called = ast.unparse(call.func).rpartition(".")[2]
            own = [name for name in parameters.get(called, ()) if name != "self"]
            self._given |= {id(arg): name for arg, name in zip(call.args, own, strict=False)}
            self._given |= {id(one.value): one.arg for one in call.keywords if one.arg in own}

    def more(self, old: ast.expr, new: ast.expr) -> float:
        """What an edit costs more, or less, than one of its kind, in edits of one number."""
        match old, new:
            case ast.Constant(before), ast.Constant(after):
                return NEW * is_new(before, after, self._numbers)
        wanted = self._given.get(id(old))
        return 0.0 if wanted is None else NAMED_SO * (_is(old, wanted) - _is(new, wanted))


def numbers_in(tree: ast.AST) -> Counter[int]:
    """How often each whole number stands in a text."""
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return Counter(value for value in constants if type(value) is int)


def is_new(before: Any, after: Any, numbers: Counter[int]) -> bool:
    """Whether a number stands elsewhere too and the one in its place does not."""
    large = type(before) is type(after) is int and min(before, after) > _SMALL
    return large and numbers[before] > 1 and not numbers[after]


def _is(node: ast.expr, name: str) -> bool:
    """Whether an argument has a name: ``HOURS`` and ``self.hours`` are called hours."""
    own = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return own.lower().strip("_") == name.lower().strip("_")
