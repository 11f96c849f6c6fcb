"""How a size is written in the line that makes a layer or a parameter: as a number, as a name, or computed there.

Nobody writes a number in place of what is computed: where that is wrong, the line is likelier that computed it wrongly.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from tessera.check.agreement import numbers_in
from tessera.errors import SourceLine


def argument(where: SourceLine, kind: type[nn.Module], name: str, column: int | None = None) -> ast.expr | None:
    """What is written for the argument ``name`` of a layer of torch; None where it is not to be seen.

    Args:
        where: the line that makes the layer.
        kind: its class.
        name: of the constructor's argument.
        column: of the call, where that is known.
    """
    calls = [call for call in _calls(where) if ast.unparse(call.func).rpartition(".")[2] == kind.__name__]
    exact = [call for call in calls if call.col_offset == column]
    for call in exact or calls[:1]:
        if (keyword := next((one.value for one in call.keywords if one.arg == name), None)) is not None:
            return keyword
        own: Any = kind
        names = list(inspect.signature(own).parameters)
        place = names.index(name) if name in names else _PLACES.get(name, len(call.args))
        return call.args[place] if place < len(call.args) else None
    return None


def size_of_parameter(where: SourceLine, rank: int, axis: int) -> ast.expr | None:
    """What is written for one size of a parameter: the ``n`` of ``torch.zeros(1, n, d)``."""
    for call in _calls(where):
        first = call.args[0] if call.args else None
        sizes = first.elts if isinstance(first, (ast.Tuple, ast.List)) else call.args
        if len(sizes) == rank and ast.unparse(call.func).startswith("torch."):
            return sizes[axis]
    return None


def is_computed(size: ast.expr | None, where: SourceLine) -> bool:
    """Whether a size is arithmetic, or a name that the lines before made so."""
    if isinstance(size, ast.Name):
        function = _around(where)
        return any(
            isinstance(node, ast.Assign)
            and node.lineno < where.line
            and is_computed(node.value if isinstance(node.value, ast.BinOp) else None, where)
            and any(isinstance(target, ast.Name) and target.id == size.id for target in node.targets)
            for node in (ast.walk(function) if function is not None else ())
        )
    return isinstance(size, ast.BinOp) and any(isinstance(one, (ast.Name, ast.Attribute)) for one in ast.walk(size))


def is_of_use_here_alone(size: ast.expr | None, where: SourceLine) -> bool:
    """Whether a size is a name that the function around says nowhere else: without it there it would be of no use."""
    function = _around(where)
    if not isinstance(size, ast.Name) or function is None:
        return False
    given = any(one.arg == size.id for one in ast.walk(function.args) if isinstance(one, ast.arg))
    return given and sum(isinstance(node, ast.Name) and node.id == size.id for node in ast.walk(function)) == 1


def numbers_around(where: SourceLine) -> Counter[int]:
    """The whole numbers that stand in the class, or what else is at the top of the file, around a line."""
    tops = _numbers(where.file, tuple(linecache.getlines(where.file)))
    return next((numbers for first, last, numbers in tops if first <= where.line <= last), Counter())


@functools.lru_cache(maxsize=16)
def _numbers(file: str, lines: tuple[str, ...]) -> list[tuple[int, int, Counter[int]]]:
    try:
        tree = ast.parse("".join(lines), file)
    except SyntaxError:
        return []
    return [(one.lineno, one.end_lineno or one.lineno, numbers_in(one)) for one in tree.body]


_PLACES: Mapping[str, int] = {"input_size": 0, "hidden_size": 1}  # of an RNN, whose signature says *args


def _calls(where: SourceLine) -> Iterator[ast.Call]:
    """Calls that begin in a line, the outermost first."""
    yield from _by_line(where.file, tuple(linecache.getlines(where.file)))[0].get(where.line, ())


def _around(where: SourceLine) -> ast.FunctionDef | None:
    """The innermost function around a line."""
    functions = _by_line(where.file, tuple(linecache.getlines(where.file)))[1]
    around = [one for one in functions if one.lineno <= where.line <= (one.end_lineno or 0)]
    return max(around, key=lambda one: one.lineno, default=None)


@functools.lru_cache(maxsize=16)
def _by_line(file: str, lines: tuple[str, ...]) -> tuple[Mapping[int, list[ast.Call]], list[ast.FunctionDef]]:
    try:
        tree = ast.parse("".join(lines), file)
    except SyntaxError:
        return {}, []
    calls: dict[int, list[ast.Call]] = {}
    nodes = list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Call):
            calls.setdefault(node.lineno, []).append(node)
    return calls, [node for node in nodes if isinstance(node, ast.FunctionDef)]
