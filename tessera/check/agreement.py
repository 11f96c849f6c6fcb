"""What the rest of a program says of an edit of its text: names of parameters, numbers that stand elsewhere too."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

NAMED_SO = 0.15  # less, for an argument that has the name of its parameter then; more, for one that has it now
NEW = 0.12  # more, for a number that stands nowhere else in place of one that does
SAID = 0.15  # more, for what a keyword is by default: who says it means another
UNUSED, LEFT_OUT = 1.0, 0.5  # more, where a name would be of no use then: another is in its place, or none is
FORGOTTEN, AT_HAND = 0.7, 0.2  # less, where one is of no use yet: it stands for another name, or for a number
_DEFAULTS = {("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1), ("output_padding", 0)}
_OF_OTHERS = 1_000  # uses
_SMALL = 4  # numbers that stand everywhere


class Agreement:
    """Of the functions that a text calls, and of its numbers.

    Args:
        function: the text.
        around: the class that it is a method of, or itself.
        parameters: of the user's functions, by their names.
        names: what its names stand for; those that are not its own are used elsewhere.
    """

    def __init__(
        self,
        function: ast.FunctionDef,
        around: ast.AST | None,
        parameters: Mapping[str, Sequence[str]],
        names: Mapping[str, Any],
    ) -> None:
        self._uses = _loads(function) + Counter(dict.fromkeys(names.keys() - _own_names(function), _OF_OTHERS))
        self._numbers = numbers_in(around or function)
        self._given: dict[int, str] = {}
        self._keywords = {id(n.value): n.arg for n in ast.walk(function) if isinstance(n, ast.keyword)}
        for call in (n for n in ast.walk(function) if isinstance(n, ast.Call)):
            called = ast.unparse(call.func).rpartition(".")[2]
            own = [name for name in parameters.get(called, ()) if name != "self"]
            self._given |= {id(arg): name for arg, name in zip(call.args, own, strict=False)}
            self._given |= {id(one.value): one.arg for one in call.keywords if one.arg in own}

    def more(self, old: ast.expr, new: ast.expr) -> float:
        """What an edit costs more, or less, than one of its kind, in edits of one number."""
        match old, new:
            case ast.Constant(before), ast.Constant(after):
                by_default = is_default(self._keywords.get(id(old)), after)
                return SAID * by_default + NEW * is_new(before, after, self._numbers)
        wanted = self._given.get(id(old))
        return 0.0 if wanted is None else NAMED_SO * (_is(old, wanted) - _is(new, wanted))

    def of_uses(self, old: ast.expr, new: ast.expr) -> float:
        """The same, for what an edit leaves without any use, or is the first to use."""
        before, after = _loads(old), _loads(new)
        idle = any(self._uses[name] == times and not after[name] for name, times in before.items())
        more = (UNUSED if isinstance(new, ast.Name) and isinstance(old, ast.Name) else LEFT_OUT) * idle
        if isinstance(new, ast.Name) and not self._uses[new.id]:
            more -= FORGOTTEN if isinstance(old, ast.Name) else AT_HAND * isinstance(old, ast.Constant)
        return more


def _loads(node: ast.AST) -> Counter[str]:
    return Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))


def _own_names(function: ast.FunctionDef) -> set[str]:
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {one.arg for one in ast.walk(function.args) if isinstance(one, ast.arg)}


def numbers_in(tree: ast.AST) -> Counter[int]:
    """How often each whole number stands in a text."""
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return Counter(value for value in constants if type(value) is int)


def is_default(name: str | None, value: Any) -> bool:
    """Whether a layer has a value where nothing is said."""
    return (name, value) in _DEFAULTS


def is_new(before: Any, after: Any, numbers: Counter[int]) -> bool:
    """Whether a number stands elsewhere too and the one in its place does not."""
    large = type(before) is type(after) is int and min(before, after) > _SMALL
    return large and numbers[before] > 1 and not numbers[after]


def _is(node: ast.expr, name: str) -> bool:
    """Whether an argument has a name: ``HOURS`` and ``self.hours`` are called hours."""
    own = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return own.lower().strip("_") == name.lower().strip("_")
