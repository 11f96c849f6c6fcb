"""What could have been written instead in the text of a function: another name, number or sign, arguments swapped.

These are the slips that no call of torch shows: a size that Python computed, the arguments of a function of the
user's own, how a loop makes its layers. What a name stood for when the function was left tells what may stand for it.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tessera.check.agreement import Agreement
from tessera.check.chain_edits import chain_edits
from tessera.check.elsewhere import as_elsewhere
from tessera.check.keyword_edits import keyword_edits
from tessera.check.order_edits import SWAPPED, order_edits
from tessera.check.pattern_edits import pattern_edits
from tessera.check.rewrites import LAST, TAKEN, turns
from tessera.check.scope_edits import scope_edits
from tessera.check.statement_edits import statement_edits
from tessera.check.text_edit import (
    TextEdit,
    attributes,
    edited,
    is_number,
    loaded,
    makes_layer,
    parsed,
    stands_for,
)
from tessera.check.unused_edits import unused_edits

# In edits of one number, as in ``rewrites``.
NUMBER = 1.0
USUAL = (
    0.04  # more where the number becomes a larger one, less where it becomes smaller: small ones are written oftener
)
OFF_BY_ONE = 0.1  # more, of a large number: nobody takes 250 for 249
NAME, SIGN = 1.1, 1.1
SLICED = 1.2
LEFT_OUT = 1.2  # `.T`; an item of a list is a little more
TENSOR = 0.6  # more, for another tensor's name: one that fits the rest always does
OF_LIKE = 0.1  # more in its place, where only its shape is asked for: `torch.zeros_like(x)`
OF_SHAPE = 0.2  # more, for the 0 of `x.shape[0]`: the size of another dimension
SAID_TWICE = 0.4  # more, where the name is that of the argument: `dilation=dilation`
COMPUTED = 1.2  # a name that becomes two times itself or the half, or one more; its square, of a shape
SHAPED = 1.4  # what is returned, in the shape that is declared, or cut to it
POINTLESS = 0.5  # more, for a slice from 0 on, or a factor 1: who writes one means more
SWAPPED_SLICES = 0.1  # more, of an index
PART = 1.15  # of a list of numbers: all but the first, or the last
AS_BESIDE = 1.0  # what is done to the item beside
AS_ELSEWHERE = 1.05  # the constants that another call of the same has; less where more have them
BESIDE = 1.05  # the name that the same line beside this one has there
SET = 0.05  # more, for a default: others count on it
FAR = 0.25  # more, for a default that becomes a number of something else
ONE_OF_A_SIZE, TIMES_A_SIZE = 0.15, 0.1  # more, for one more than a size of a layer; less, for some times that
THOUGHT_OF = 0.15  # more, in what is one thing or another: ``n if last else 2 * n``
UNUSED = 1.0  # more, where a layer would be of no use then
ALONE = 0.1  # less, for a name that is there to be returned or renamed alone; more for others
_MOST_NAMES = 6
_LARGE = 32
# What reaches outside of the program: what it is given is never changed, not even on tensors without data.
_OUTSIDE = {
    *("Path", "eval", "exec", "input", "io", "json", "logging", "open", "os", "pathlib", "pickle", "print", "requests"),
    *("shutil", "socket", "subprocess", "sys", "time", "urllib"),
}
_SIGNS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Mult, ast.Sub),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),
    ast.FloorDiv: (ast.Mult,),
    ast.Div: (ast.FloorDiv,),
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
    beside = _beside(function)
    loads += Counter(f".{n.attr}" for n in ast.walk(function) if isinstance(n, ast.Attribute))
    keywords = [node for node in ast.walk(function) if isinstance(node, ast.keyword)]
    said_twice = {id(one.value) for one in keywords if ast.unparse(one.value).rpartition(".")[2] == one.arg}
    renamed = {id(node.value) for node in ast.walk(function) if isinstance(node, ast.Assign)}
    indices = {id(node.slice) for node in ast.walk(function) if isinstance(node, ast.Subscript)}
    last = {id(node.operand) for node in ast.walk(function) if isinstance(node, ast.UnaryOp) and _is_last(node)}
    likes = {id(node.args[0]) for node in ast.walk(function) if isinstance(node, ast.Call) and _asks_for_a_shape(node)}
    starts = {id(node.lower) for node in ast.walk(function) if isinstance(node, ast.Slice)}
    of_shapes = {id(node.slice) for node in ast.walk(function) if isinstance(node, ast.Subscript) and _is_shape(node)}
    idle = dict(pair for node in ast.walk(function) if isinstance(node, ast.BinOp) for pair in _idle(node))
    cases = {id(part) for node in ast.walk(function) if isinstance(node, ast.IfExp) for part in ast.walk(node)}
    own = list(_own_nodes(function))
    sizes_of = _sizes_of(own)
    calls = [node for node in own if isinstance(node, ast.Call)]
    for call, new, oftener in as_elsewhere(calls):
        yield edited(AS_ELSEWHERE - 0.15 * oftener, call, new)
    yield from statement_edits(own, names, sizes)
    yield from order_edits(own, names)
    yield from scope_edits(own, names, sizes)
    yield from unused_edits(function, own, names, around)
    for node in own:
        if not isinstance(node, ast.expr):
            continue
        more = SAID_TWICE if id(node) in said_twice else OF_SHAPE if id(node) in of_shapes else 0.0
        more += LAST * (id(node) in last) + SWAPPED_SLICES * (id(node) in indices and isinstance(node, ast.Tuple))
        more -= (TENSOR - OF_LIKE) * (id(node) in likes)
        more += THOUGHT_OF * (id(node) in cases)
        if id(node) in beside:
            yield edited(BESIDE, node, beside[id(node)])
        for edit in _of_expression(node, names, sizes, loads):
            number = edit.new.value if isinstance(edit.new, ast.Constant) else None
            pointless = (id(node) in starts and number == 0) or (id(node) in idle and idle[id(node)] == number)
            others = agreement.more(node, edit.new) + sizes_of.get(id(node), {}).get(_how(edit), 0.0)
            yield replace(edit, cost=edit.cost + more + others + POINTLESS * pointless)
        if sliced and isinstance(node, ast.Name) and isinstance(names.get(node.id), torch.Tensor):
            yield from _slices(node, SLICED - 0.1 * (id(node) in renamed))
    yield from _of_statements(function, names, loads, returned)
    for default in (*function.args.defaults, *function.args.kw_defaults):
        if isinstance(default, ast.Constant) and type(default.value) is int:
            usual = {n for n, _ in _other_numbers(default.value, ())}
            for n, cost in _other_numbers(default.value, sizes):
                yield edited(cost + SET + FAR * (n not in usual), default, ast.Constant(n))


def _of_statements(
    function: ast.FunctionDef,
    names: Mapping[str, Any],
    loads: Mapping[str, int],
    returned: Sequence[tuple[str, str]],
) -> Iterator[TextEdit]:
    """What is given another name, or returned, laid out otherwise."""
    for statement in ast.walk(function):
        if isinstance(statement, (ast.Return, ast.Assign)) and isinstance(statement.value, ast.Name):
            alone = isinstance(statement, ast.Assign) or loads[statement.value.id] == 1
            yield from _of_name_alone(statement.value, names, ALONE if alone else -ALONE)
        if isinstance(statement, ast.Return) and isinstance(statement.value, (ast.Tuple, ast.List)):
            for item in statement.value.elts:
                if isinstance(item, ast.Name):
                    yield from _of_name_alone(item, names, ALONE / 2 if loads[item.id] == 1 else -ALONE)
        if isinstance(statement, ast.Return) and statement.value is not None:
            written = ast.unparse(statement.value)
            if not isinstance(statement.value, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)):
                written = f"({written})"
            for told, code in returned:
                edit = edited(SHAPED, statement.value, parsed(f"{written}{code}", statement.value))
                yield replace(edit, text=f"{written}{told}")


def _beside(function: ast.FunctionDef) -> dict[int, ast.expr]:
    """What stands instead of an expression in the line before or behind, where that is the same otherwise.

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
        case ast.Call(ast.Attribute(inner, name), args, keywords) if _form(inner) == _form(one.value):
            yield id(one.value), ast.Call(ast.Attribute(one.value, name, ast.Load()), args, keywords)
        case ast.Subscript(inner, index) if _form(inner) == _form(one.value):
            yield id(one.value), ast.Subscript(one.value, index, ast.Load())


def _form(code: ast.AST) -> list[str]:
    """What code is made of, without names."""
    return [repr(node.value) if isinstance(node, ast.Constant) else type(node).__name__ for node in ast.walk(code)]


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


def _is_last(node: ast.UnaryOp) -> bool:
    """Whether it is the -1 of a last axis."""
    return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and node.operand.value == 1


def _idle(node: ast.BinOp) -> Iterator[tuple[int, int]]:
    """The parts of arithmetic, each with the number with which it does nothing: ``1 * n``, ``n - 0``."""
    number = 1 if isinstance(node.op, (ast.Mult, ast.FloorDiv)) else 0
    yield id(node.right), number
    if isinstance(node.op, (ast.Mult, ast.Add)):
        yield id(node.left), number


def _is_shape(node: ast.Subscript) -> bool:
    return isinstance(node.value, ast.Attribute) and node.value.attr == "shape"


def _of_expression(
    node: ast.expr, names: Mapping[str, Any], sizes: Sequence[int], loads: Mapping[str, int]
) -> Iterator[TextEdit]:
    match node:
        case ast.Call():
            yield from _of_squares(node, names)
            yield from _of_receiver(node, names)
            yield from _of_factors(node)
            yield from pattern_edits(node)
            yield from chain_edits(node)
            yield from keyword_edits(node, names)
            if makes_layer(node):
                yield from _of_sizes(node, names)
        case ast.BinOp():
            yield from _of_sum(node, names)
        case ast.Tuple(ctx=ast.Load()) | ast.List(ctx=ast.Load()):
            yield from _of_items(node)
            yield from _as_items_beside(node)
            yield from _kept(node)
        case ast.Slice():
            yield from _of_bounds(node)
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            yield from (edited(cost, node, ast.Constant(other)) for other, cost in _other_numbers(number, sizes))
        case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
            yield from _of_name(node, names, loads)


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


def _of_squares(node: ast.Call, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``x.view(-1, w * w)`` for ``x.view(-1, w)``; of a number that is counted with, a square grows without end."""
    shapes = isinstance(node.func, ast.Attribute) and node.func.attr in ("view", "reshape", "unflatten")
    for arg in node.args if shapes or makes_layer(node) else ():
        if isinstance(arg, (ast.Name, ast.Attribute)) and type(stands_for(arg, names)[1]) is int:
            yield edited(COMPUTED + 0.1, arg, ast.BinOp(loaded(arg), ast.Mult(), loaded(arg)))


def _of_factors(node: ast.Call) -> Iterator[TextEdit]:
    """``x.view(b, c, h * w)`` for ``x.view(b, c * h, w)``."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in ("view", "reshape"):
        return
    for at, (one, other) in enumerate(itertools.pairwise(node.args)):
        pair: list[ast.expr] = []
        if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Mult):
            pair = [one.left, ast.BinOp(one.right, ast.Mult(), other)]
        elif isinstance(other, ast.BinOp) and isinstance(other.op, ast.Mult):
            pair = [ast.BinOp(one, ast.Mult(), other.left), other.right]
        if pair:
            args = [*node.args[:at], *pair, *node.args[at + 2 :]]
            yield edited(SWAPPED, node, ast.Call(node.func, args, node.keywords))


def _asks_for_a_shape(node: ast.Call) -> bool:
    """Whether it is ``torch.zeros_like(x)`` or the like: of ``x`` nothing is used but how it looks."""
    name = ast.unparse(node.func).rpartition(".")[2]
    return name.endswith(("_like", "_as")) and bool(node.args) and isinstance(node.args[0], ast.Name)


def _of_sizes(node: ast.Call, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """Of a layer: what is joined to its input was forgotten."""
    numbers = [name for name, value in names.items() if type(value) is int]
    parts = [(part, part is arg) for arg in node.args[:2] for part in ast.walk(arg)]
    for part, whole in parts:
        if isinstance(part, (ast.Name, ast.Attribute)) and type(stands_for(part, names)[1]) is int:
            for name in numbers[:_MOST_NAMES]:
                sign: ast.operator = ast.Add() if whole else ast.Mult()
                yield edited(COMPUTED + 0.1, part, ast.BinOp(ast.Name(name, ast.Load()), sign, copy.copy(part)))


def _of_items(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    for one, other in itertools.combinations(range(len(node.elts)), 2):
        if ast.dump(node.elts[one]) != ast.dump(node.elts[other]) and not isinstance(node.elts[one], ast.Starred):
            items = list(node.elts)
            items[one], items[other] = items[other], items[one]
            yield edited(SWAPPED + 0.05 * (other - one), node, type(node)(items, ast.Load()))
    for at in range(len(node.elts)) if isinstance(node, ast.List) and len(node.elts) > 1 else ():
        yield edited(LEFT_OUT + 0.1, node, ast.List([*node.elts[:at], *node.elts[at + 1 :]], ast.Load()))


def _as_items_beside(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    """``a.mT, b.mT`` for ``a, b.mT``, and likewise for a call of a method and an index."""
    for one, other in itertools.permutations(node.elts, 2):
        new: ast.expr | None = None
        match other:
            case ast.Call(ast.Attribute(_, name), args, keywords):
                new = ast.Call(ast.Attribute(one, name, ast.Load()), args, keywords)
            case ast.Attribute(_, "T" | "mT" as name):
                new = ast.Attribute(one, name, ast.Load())
            case ast.Subscript(_, ast.Tuple() as index):
                new = ast.Subscript(one, index, ast.Load())
        if new is not None and isinstance(one, (ast.Name, ast.Attribute)):
            yield edited(AS_BESIDE, one, new)


def _kept(node: ast.Tuple | ast.List) -> Iterator[TextEdit]:
    """``x[:, 7:8], x[:, 3:4]`` for ``x[:, 7], x[:, 3]``: of all alike the dimension was to be kept."""
    new: list[ast.expr] = []
    for one in node.elts:
        match one:
            case ast.Subscript(value, ast.Tuple([*first, ast.Constant(int() as at)])):
                kept = ast.Slice(ast.Constant(at), ast.Constant(at + 1))
                new.append(ast.Subscript(value, ast.Tuple([*first, kept], ast.Load()), ast.Load()))
    if new and len(new) == len(node.elts):
        yield edited(BESIDE, node, type(node)(new, ast.Load()))


def _of_bounds(node: ast.Slice) -> Iterator[TextEdit]:
    """Where it starts was forgotten: ``x[a : a + n]`` for ``x[a:n]``."""
    if isinstance(node.lower, (ast.Name, ast.Attribute)) and isinstance(node.upper, (ast.Name, ast.Attribute)):
        yield edited(COMPUTED, node.upper, ast.BinOp(copy.copy(node.lower), ast.Add(), copy.copy(node.upper)))


def _of_sum(node: ast.BinOp, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    if not is_number(node, names):
        return
    for sign in _SIGNS.get(type(node.op), ()):
        yield edited(SIGN, node, ast.BinOp(node.left, sign(), node.right))
    yield edited(SIGN, node, node.left)
    yield edited(SIGN, node, node.right)
    if not _is_one(node.right):
        for by in (ast.Add(), ast.Sub()):
            yield edited(COMPUTED - 0.05, node, ast.BinOp(node, by, ast.Constant(1)))


def _is_one(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1


def _other_numbers(value: int, sizes: Sequence[int]) -> Iterator[tuple[int, float]]:
    near = [value - 1, value + 1]
    far = [value * 2, value // 2, *sizes] if value > 1 else list(sizes)
    for other in near:
        yield other, NUMBER + (USUAL if abs(other) > abs(value) else -USUAL) + OFF_BY_ONE * (value > _LARGE)
    for other in dict.fromkeys(far):
        if other != value and other not in near:
            yield other, NUMBER + 0.1


def _of_name(node: ast.Name | ast.Attribute, names: Mapping[str, Any], loads: Mapping[str, int]) -> Iterator[TextEdit]:
    known, value = stands_for(node, names)
    if not known and not isinstance(node, ast.Attribute):
        return
    if type(value) is int:
        for op, by in ((ast.Add(), 1), (ast.Sub(), 1)):
            yield edited(COMPUTED, node, ast.BinOp(loaded(node), op, ast.Constant(by)))
        for by in (2, 3, 4):
            yield edited(COMPUTED + 0.1, node, ast.BinOp(ast.Constant(by), ast.Mult(), loaded(node)))
        yield edited(COMPUTED + 0.1, node, ast.BinOp(loaded(node), ast.FloorDiv(), ast.Constant(2)))
        yield from _rests(node, value, names)
    if isinstance(node, ast.Name):
        if isinstance(value, (list, tuple)) and len(value) > 1 and all(type(one) is int for one in value):
            for bounds in ("1:", ":-1"):
                yield edited(PART, node, parsed(f"{node.id}[{bounds}]", node))
        alike = [name for name, other in names.items() if name != node.id and _alike(value, other)]
        for name in alike[:_MOST_NAMES]:
            cost = NAME + TENSOR * isinstance(value, torch.Tensor)
            yield edited(cost, node, ast.Name(name, ast.Load()))
        kept = attributes(names.get("self")) if type(value) is int else {}
        for name in [name for name, other in kept.items() if _alike(value, other) and name[0] != "_"][:_MOST_NAMES]:
            self = ast.Name("self", ast.Load())
            yield edited(COMPUTED, node, ast.Attribute(self, name, ast.Load()))
    else:
        if node.attr in ("T", "mT", "H") and isinstance(stands_for(node.value, names)[1], torch.Tensor):
            yield edited(LEFT_OUT, node, node.value)
        owner = stands_for(node.value, names)[1]
        kept = {**getattr(owner, "_modules", {}), **{k: v for k, v in attributes(owner).items() if k[0] != "_"}}
        alike = [name for name, other in kept.items() if name != node.attr and _alike(value, other)]
        for name in alike[:_MOST_NAMES]:
            cost = NAME + UNUSED * (loads[f".{node.attr}"] == 1 and isinstance(value, nn.Module))
            yield edited(cost, node, ast.Attribute(node.value, name, ast.Load()))


def _rests(node: ast.Name | ast.Attribute, value: int, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """``self.count - self.kept`` for ``self.kept``: what is left of a larger count."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    around = names if owner is None else attributes(stands_for(owner, names)[1])
    larger = [name for name, other in around.items() if type(other) is int and other > value and name[0] != "_"]
    for name in larger[:_MOST_NAMES]:
        whole = ast.Name(name, ast.Load()) if owner is None else ast.Attribute(loaded(owner), name, ast.Load())
        yield edited(COMPUTED + 0.1, node, ast.BinOp(whole, ast.Sub(), loaded(node)))


def _slices(node: ast.Name, cost: float) -> Iterator[TextEdit]:
    for bounds in ("1:", ":-1", ":, 1:", ":, :-1"):
        yield edited(cost, node, parsed(f"{node.id}[{bounds}]", node))


def _of_name_alone(node: ast.Name, names: Mapping[str, Any], less: float) -> Iterator[TextEdit]:
    """What is returned, or given another name, laid out otherwise.

    A name that is there for that alone hints at what was left out.
    """
    value = names.get(node.id)
    if isinstance(value, torch.Tensor):
        for cost, code, _ in turns(value):
            yield edited(cost - less, node, parsed(f"{node.id}{code}", node))
        for index in ("-1", ":, -1") if less >= ALONE and value.dim() > 1 else ():
            yield edited(TAKEN - less, node, parsed(f"{node.id}[{index}]", node))


def _alike(value: Any, other: Any) -> bool:
    """Whether one may have been taken for the other."""
    if isinstance(value, torch.Tensor):
        return isinstance(other, torch.Tensor) and _looks(value) != _looks(other)
    if isinstance(value, nn.Module):
        return type(value) is type(other) and isinstance(value, (nn.Linear, nn.Embedding, nn.LayerNorm, nn.Conv2d))
    return type(value) is int and type(other) is int and value != other


def _looks(tensor: torch.Tensor) -> tuple[str, torch.dtype]:
    return str(list(tensor.shape)), tensor.dtype  # as text: sizes that depend on data cannot be compared
