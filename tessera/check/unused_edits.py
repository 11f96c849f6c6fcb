"""What is made and never used shows what was forgotten: a context that no cell is given, a layer that none calls.

context = (weight * values).sum(1)
state = self.cell(embedded, state)     # torch.cat([embedded, context], -1)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tessera.check.text_edit import TextEdit, edited, loaded, parsed, stands_for

FORGOTTEN = 0.9  # in edits of one number, as in ``rewrites``: nobody makes what is not to be used
NAMED = 0.05  # less, for what has a name already
_MOST = 3  # things that nothing uses
_PARTS = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.BinOp)


def unused_edits(
    function: ast.FunctionDef, own: Sequence[ast.AST], names: Mapping[str, Any], around: ast.AST | None = None
) -> Iterator[TextEdit]:
    """Edits that use what nothing uses yet.

    Args:
        function: its text.
        own: its statements and expressions.
        names: what its local names stood for when it was left.
        around: the class that it is a method of, if it is one.
    """
    made = {one.arg: function.lineno for one in ast.walk(function.args) if isinstance(one, ast.arg)}
    made |= {n.id: n.lineno for n in own if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    used = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    idle = {name: line for name, line in made.items() if name not in used and name[0] != "_"}
    tensors = [name for name in idle if isinstance(names.get(name), torch.Tensor)][:_MOST]
    layers: list[tuple[ast.expr, int]] = [
        (ast.Name(name, ast.Load()), line) for name, line in idle.items() if isinstance(names.get(name), nn.Module)
    ]
    layers += [(ast.Attribute(ast.Name("self", ast.Load()), name, ast.Load()), 0) for name in _idle(around, names)]
    yield from _of_turns(function, own, names, used)
    for node in own:
        if isinstance(node, ast.List) and len(node.elts) > 1:
            for name in (one for one in tensors if idle[one] < node.lineno):
                yield edited(FORGOTTEN, node, ast.List([*node.elts, ast.Name(name, ast.Load())], ast.Load()))
    for part in _operands(own) if tensors or layers else ():
        if _may_be_a_tensor(part, names):
            for name in (one for one in tensors if idle[one] < part.lineno):
                both = ast.List([loaded(part), ast.Name(name, ast.Load())], ast.Load())
                join = ast.Attribute(ast.Name("torch", ast.Load()), "cat", ast.Load())
                last = ast.keyword("dim", ast.UnaryOp(ast.USub(), ast.Constant(1)))
                yield edited(FORGOTTEN, part, ast.Call(join, [both], [last]))
            for layer, line in layers[:_MOST]:
                if line <= part.lineno:
                    yield edited(
                        FORGOTTEN - NAMED * isinstance(part, ast.Name), part, ast.Call(layer, [loaded(part)], [])
                    )


def _of_turns(
    function: ast.FunctionDef, own: Sequence[ast.AST], names: Mapping[str, Any], used: set[str]
) -> Iterator[TextEdit]:
    """``table(x[:, i])`` for ``table(x)``, where nothing in the loop says which turn it is."""
    for loop in ast.walk(function):
        targets = [loop.target] if isinstance(loop, ast.For) else []
        if isinstance(loop, (ast.ListComp, ast.GeneratorExp)):
            targets = [one.target for one in loop.generators]
        counts = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name) and n.id not in used]
        counts = [name for name in counts if type(names.get(name)) is int and name[0] != "_"]
        for part in _operands([node for node in ast.walk(loop) if node in own]) if counts else ():
            if isinstance(part, ast.Name) and isinstance(names.get(part.id), torch.Tensor):
                for index in (f"[:, {counts[0]}]", f"[{counts[0]}]"):
                    yield edited(FORGOTTEN, part, parsed(f"{part.id}{index}", part))


def _idle(around: ast.AST | None, names: Mapping[str, Any]) -> list[str]:
    """Layers of ``self`` that no method of its class names."""
    parts = getattr(names.get("self"), "_modules", {}) if around is not None else {}
    named = [n for n in ast.walk(around or ast.Module([], [])) if isinstance(n, ast.Attribute)]
    used = {n.attr for n in named if isinstance(n.ctx, ast.Load)}
    return [name for name in parts if name not in used and name in {n.attr for n in named}]


def _operands(own: Sequence[ast.AST]) -> Iterator[ast.expr]:
    """Names that are read, calls and arithmetic, but for what is called itself and what a method or an index is of."""
    owners = {id(n.value) for n in own if isinstance(n, (ast.Attribute, ast.Subscript))}
    owners |= {id(n.func) for n in own if isinstance(n, ast.Call)}
    for node in own:
        if (
            isinstance(node, _PARTS)
            and id(node) not in owners
            and not isinstance(getattr(node, "ctx", None), ast.Store)
        ):
            yield node


def _may_be_a_tensor(node: ast.expr, names: Mapping[str, Any]) -> bool:
    known, value = stands_for(node, names)
    return isinstance(value, torch.Tensor) or (not known and not isinstance(node, (ast.Name, ast.Attribute)))
