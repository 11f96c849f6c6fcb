"""Edits of the text of the functions that a run went through, and the program with one of them."""

from __future__ import annotations

import ast
import functools
import linecache
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from tessera.check.edited_code import Copies, compiled
from tessera.check.remade import Remade
from tessera.check.text_edit import TextEdit
from tessera.check.text_edits import text_edits
from tessera.check.visited import Place, place_of_code
from tessera.errors import SourceLine
from tessera.nn.function import Function
from tessera.users_code import source_line_at


@dataclass(frozen=True)
class Text:
    """A function of the user's.

    Attributes:
        file: where it is.
        function: its text.
        statement: what it is part of, at the top of the file.
    """

    file: str
    function: ast.FunctionDef
    statement: ast.stmt


@dataclass(frozen=True)
class EditedText:
    """One edit of one function.

    Attributes:
        text: of the function.
        edit: of it.
        constructor: how to make the module anew, where the function made it.
        place: of the function.
    """

    text: Text
    edit: TextEdit
    constructor: Remade | None = None
    place: Place | None = None

    @property
    def where(self) -> SourceLine:
        return source_line_at(self.text.file, self.edit.line)

    def applied(self, function: Callable[..., Any], root: nn.Module | None) -> tuple[Any, nn.Module | None] | None:
        """What is checked, with the edit; None where that cannot be made.

        Raises:
            SyntaxError: the edit leaves no Python.
        """
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        codes = compiled(self.edit.applied(self.text.statement), self.text.file, flags)
        copies = Copies(codes, {self.place: self.defaults()} if self.place is not None else {})
        if self.constructor is not None:
            made = self.constructor.again(copies.of(type(root)))
            return None if made is None else (made, made)
        if function is root and root is not None:
            made = copies.module(root)
            return made, made
        owner = getattr(function, "__self__", None)
        if isinstance(owner, Function):
            return None if root is not None else (Function(copies.of(owner.body)).trial, None)
        if isinstance(owner, nn.Module) and root is not None:
            made = copies.module(root)
            return getattr(made, function.__name__), made
        return copies.of(function), root

    def defaults(self) -> dict[str, Any]:
        """The default that is edited, if it is one, by the name of its argument."""
        a = self.text.function.args
        positional = [*a.posonlyargs, *a.args]
        pairs = [
            *zip(reversed(positional), reversed(a.defaults), strict=False),
            *zip(a.kwonlyargs, a.kw_defaults, strict=True),
        ]
        new = self.edit.new
        return {arg.arg: new.value for arg, old in pairs if old is self.edit.old and isinstance(new, ast.Constant)}


def edited_texts(
    gone_through: Mapping[Place, Mapping[str, Any]],
    sizes: Sequence[int],
    constructor: Remade | None = None,
    error: Exception | None = None,
    *,
    sliced: bool = False,
    returned: tuple[Place | None, Sequence[tuple[str, str]]] = (None, ()),
) -> Iterator[EditedText]:
    """Edits of the functions that a run went through, or a constructor, as far as they came.

    Args:
        gone_through: their local names, see ``visited``.
        sizes: numbers that may be what should stand where another does.
        constructor: how the module was made, where its constructor is what was gone through.
        error: what ended the run.
        sliced: whether one item at an end of a tensor may be too many.
        returned: the function that was checked, and code that makes of what it returns what it should return.
    """
    raised = {
        place_of_code(frame.f_code): line
        for frame, line in traceback.walk_tb(error.__traceback__ if error is not None else None)
    }
    for place, own_names in gone_through.items():
        inside = [names for other, names in gone_through.items() if _is_comprehension(other, place)]
        names = {**{name: value for one in inside for name, value in one.items()}, **own_names}
        if (text := _texts(place[0]).get(place[1:])) is not None:
            last = _last_reached(text.function, raised.get(place))
            ways = returned[1] if place == returned[0] else ()
            options: dict[str, Any] = {"sliced": sliced, "returned": ways, "around": text.statement}
            options["parameters"] = _parameters(place[0])
            for edit in text_edits(text.function, names, sizes, **options):
                if edit.line <= last:
                    yield EditedText(text, edit, constructor, place)


def _is_comprehension(other: Place, place: Place) -> bool:
    """Whether it is a comprehension or a lambda of a function; its names are the function's too."""
    return other[0] == place[0] and other[2].startswith(f"{place[2]}.<locals>.<")


def _last_reached(function: ast.FunctionDef, raised: int | None) -> int:
    """The last line that may have run where ``raised`` is the one that raised: the end of a loop around it."""
    ends = [function.end_lineno or function.lineno]
    for node in ast.walk(function):
        if raised is not None and isinstance(node, ast.stmt) and node.lineno <= raised <= (node.end_lineno or 0):
            if isinstance(node, (ast.For, ast.While)):
                return node.end_lineno or ends[0]
            if not hasattr(node, "body"):
                ends.append(node.end_lineno or node.lineno)
    return min(ends)


def _parameters(file: str) -> Mapping[str, Sequence[str]]:
    """The names of what the functions of a file are given; a class has those of its constructor."""
    found = {}
    for (_, name), text in _texts(file).items():
        a = text.function.args
        called = name.removesuffix(".__init__").rpartition(".")[2]
        found[called] = [one.arg for one in (*a.posonlyargs, *a.args, *a.kwonlyargs)]
    return found


def _texts(file: str) -> Mapping[tuple[int, str], Text]:
    return _of_lines(file, tuple(linecache.getlines(file)))


@functools.lru_cache(maxsize=16)
def _of_lines(file: str, lines: tuple[str, ...]) -> Mapping[tuple[int, str], Text]:
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return {}
    return {
        (first, name): Text(file, function, statement)
        for statement in tree.body
        for first, name, function in _functions(statement, "")
    }


def _functions(node: ast.AST, inside: str) -> Iterator[tuple[int, str, ast.FunctionDef]]:
    """Functions with their first line and qualified name."""
    if isinstance(node, ast.FunctionDef):
        yield min([node.lineno, *(d.lineno for d in node.decorator_list)]), inside + node.name, node
        inside += f"{node.name}.<locals>."
    elif isinstance(node, ast.ClassDef):
        inside += f"{node.name}."
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield from _functions(child, inside)
