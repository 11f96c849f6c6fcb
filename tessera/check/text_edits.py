"""What could have been written instead in the text of a function: another name, number or sign, arguments swapped.

These are the slips that no call of torch shows: a size that Python computed, the arguments of a function of the
user's own, how a loop makes its layers. What a name stood for when the function was left tells what may stand for it.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from tessera.check.agreement import Agreement
from tessera.check.beside_edits import beside
from tessera.check.chain_edits import chain_edits
from tessera.check.count_edits import of_factors, of_sizes, of_squares, of_sum, other_numbers
from tessera.check.elsewhere import as_elsewhere
from tessera.check.item_edits import of_bounds, of_items
from tessera.check.keyword_edits import keyword_edits
from tessera.check.name_edits import SLICED, of_name, of_slices, of_statements
from tessera.check.order_edits import SWAPPED, order_edits
from tessera.check.pattern_edits import pattern_edits
from tessera.check.scope_edits import scope_edits
from tessera.check.statement_edits import statement_edits
from tessera.check.text_edit import TextEdit, edited, makes_layer, stands_for
from tessera.check.unused_edits import unused_edits
from tessera.check.usage import Usage

# In edits of one number, as in ``rewrites``.
AS_ELSEWHERE = 1.05  # the constants that another call of the same has; less where more have them
BESIDE = 1.05  # what the same line beside this one has there
AGAIN = (
    0.15  # more, for an order after which it says what stands elsewhere: one copies by mistake, and changes on purpose
)
SET = 0.05  # more, for a default: others count on it
FAR = 0.25  # more, for a default that becomes a number of something else
# What reaches outside of the program: what it is given is never changed, not even on tensors without data.
_OUTSIDE = {
    *("Path", "eval", "exec", "input", "io", "json", "logging", "open", "os", "pathlib", "pickle", "print", "requests"),
    *("shutil", "socket", "subprocess", "sys", "time", "urllib"),
}


def text_edits(
    function: ast.FunctionDef,
    names: Mapping[str, Any],
    sizes: Sequence[int],
    *,
    sliced: bool = False,
    returned: Sequence[tuple[str, str]] = (),
    around: ast.AST | None = None,
    parameters: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[TextEdit]:
    """Edits of the body of a function.

    Args:
        function: its text.
        names: what its local names stood for when it was left.
        sizes: numbers that may be what should stand where another does.
        sliced: whether one item at an end of a tensor may be too many.
        returned: code that makes of what is returned what it should be; each as it is told and as it runs.
        around: the class that it is a method of, if it is one.
        parameters: of the user's functions, by their names.
    """
    agreement = Agreement(function, around, parameters or {}, names)
    for edit in _every(function, names, sizes, agreement, sliced, returned, around):
        yield replace(edit, cost=edit.cost + agreement.of_uses(edit.old, edit.new))


def _every(
    function: ast.FunctionDef,
    names: Mapping[str, Any],
    sizes: Sequence[int],
    agreement: Agreement,
    sliced: bool,
    returned: Sequence[tuple[str, str]],
    around: ast.AST | None,
) -> Iterator[TextEdit]:
    loads = Counter(n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
    loads += Counter(f".{n.attr}" for n in ast.walk(function) if isinstance(n, ast.Attribute))
    own = list(_own_nodes(function))
    calls = [node for node in own if isinstance(node, ast.Call)]
    for call, new, oftener in as_elsewhere(calls):
        yield edited(AS_ELSEWHERE - 0.15 * oftener, call, new)
    yield from statement_edits(own, names, sizes)
    written = {ast.dump(call) for call in calls}
    for edit in order_edits(own, names):
        yield replace(edit, cost=edit.cost + AGAIN * (ast.dump(edit.new) in written))
    yield from scope_edits(own, names, sizes)
    yield from unused_edits(function, own, names, around)
    yield from _of_expressions(function, own, names, sizes, agreement, loads)
    renamed = {id(node.value) for node in ast.walk(function) if isinstance(node, ast.Assign)}
    for node in own if sliced else ():
        if isinstance(node, ast.Name) and isinstance(names.get(node.id), torch.Tensor):
            yield from of_slices(node, SLICED - 0.1 * (id(node) in renamed))
    yield from of_statements(function, names, loads, returned)
    yield from _of_defaults(function, sizes)


def _of_expressions(
    function: ast.FunctionDef,
    own: Sequence[ast.AST],
    names: Mapping[str, Any],
    sizes: Sequence[int],
    agreement: Agreement,
    loads: Mapping[str, int],
) -> Iterator[TextEdit]:
    usage, lines_beside = Usage(function, own, names), beside(function)
    for node in own:
        if not isinstance(node, ast.expr):
            continue
        if id(node) in lines_beside:
            yield edited(BESIDE, node, lines_beside[id(node)])
        for edit in _of_expression(node, names, sizes, loads):
            yield replace(edit, cost=edit.cost + usage.more(node, edit) + agreement.more(node, edit.new))


def _of_defaults(function: ast.FunctionDef, sizes: Sequence[int]) -> Iterator[TextEdit]:
    for default in (*function.args.defaults, *function.args.kw_defaults):
        if isinstance(default, ast.Constant) and type(default.value) is int:
            usual = {n for n, _ in other_numbers(default.value, ())}
            for n, cost in other_numbers(default.value, sizes):
                yield edited(cost + SET + FAR * (n not in usual), default, ast.Constant(n))


def _of_expression(
    node: ast.expr, names: Mapping[str, Any], sizes: Sequence[int], loads: Mapping[str, int]
) -> Iterator[TextEdit]:
    match node:
        case ast.Call():
            yield from of_squares(node, names)
            yield from _of_receiver(node, names)
            yield from of_factors(node)
            yield from pattern_edits(node)
            yield from chain_edits(node)
            yield from keyword_edits(node, names)
            if makes_layer(node):
                yield from of_sizes(node, names)
        case ast.BinOp():
            yield from of_sum(node, names)
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()):
            yield from of_items(node)
        case ast.Slice():
            yield from of_bounds(node)
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            yield from (edited(cost, node, ast.Constant(other)) for other, cost in other_numbers(number, sizes))
        case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
            yield from of_name(node, names, loads)


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Statements and expressions, but for functions inside, annotations and what reaches outside."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(node, ast.Call) and ast.unparse(node.func).partition(".")[0] in _OUTSIDE:
            continue
        yield node
        waiting += [child for name, value in ast.iter_fields(node) if name != "annotation" for child in _nodes(value)]


def _nodes(value: Any) -> list[ast.AST]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)]


def _of_receiver(node: ast.Call, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``y.scatter(1, index, x)`` for ``x.scatter(1, index, y)``."""
    if not isinstance(node.func, ast.Attribute) or not isinstance(stands_for(node.func.value, names)[1], torch.Tensor):
        return
    for at, arg in enumerate(node.args):
        if isinstance(arg, ast.Name) and isinstance(names.get(arg.id), torch.Tensor):
            args = [*node.args[:at], node.func.value, *node.args[at + 1 :]]
            yield edited(SWAPPED, node, ast.Call(ast.Attribute(arg, node.func.attr, ast.Load()), args, node.keywords))
