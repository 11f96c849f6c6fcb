"""What a name could have been: another of what is alike, a part of it, laid out otherwise where it is returned."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from tessera.check.count_edits import COMPUTED, MOST_NAMES, of_count
from tessera.check.rewrites import TAKEN, turns
from tessera.check.text_edit import TextEdit, attributes, edited, parsed, stands_for

# In edits of one number, as in ``rewrites``.
NAME = 1.1
TENSOR = 0.6  # more, for another tensor's name: one that fits the rest always does
SLICED = 1.2
LEFT_OUT = 1.2  # `.T`
SHAPED = 1.4  # what is returned, in the shape that is declared, or cut to it
PART = 1.15  # of a list of numbers: all but the first, or the last
UNUSED = 1.0  # more, where a layer would be of no use then
ALONE = 0.1  # less, for a name that is there to be returned or renamed alone; more for others


def of_name(node: ast.Name | ast.Attribute, names: Mapping[str, Any], loads: Mapping[str, int]) -> Iterator[TextEdit]:
    """Another name, or arithmetic with it."""
    known, value = stands_for(node, names)
    if not known and not isinstance(node, ast.Attribute):
        return
    if type(value) is int:
        yield from of_count(node, value, names)
    if isinstance(node, ast.Name):
        if isinstance(value, (list, tuple)) and len(value) > 1 and all(type(one) is int for one in value):
            for bounds in ("1:", ":-1"):
                yield edited(PART, node, parsed(f"{node.id}[{bounds}]", node))
        alike = [name for name, other in names.items() if name != node.id and _alike(value, other)]
        for name in alike[:MOST_NAMES]:
            cost = NAME + TENSOR * isinstance(value, torch.Tensor)
            yield edited(cost, node, ast.Name(name, ast.Load()))
        kept = attributes(names.get("self")) if type(value) is int else {}
        for name in [name for name, other in kept.items() if _alike(value, other) and name[0] != "_"][:MOST_NAMES]:
            self = ast.Name("self", ast.Load())
            yield edited(COMPUTED, node, ast.Attribute(self, name, ast.Load()))
    else:
        if node.attr in ("T", "mT", "H") and isinstance(stands_for(node.value, names)[1], torch.Tensor):
            yield edited(LEFT_OUT, node, node.value)
        owner = stands_for(node.value, names)[1]
        kept = {**getattr(owner, "_modules", {}), **{k: v for k, v in attributes(owner).items() if k[0] != "_"}}
        alike = [name for name, other in kept.items() if name != node.attr and _alike(value, other)]
        for name in alike[:MOST_NAMES]:
            cost = NAME + UNUSED * (loads[f".{node.attr}"] == 1 and isinstance(value, nn.Module))
            yield edited(cost, node, ast.Attribute(node.value, name, ast.Load()))


def of_slices(node: ast.Name, cost: float) -> Iterator[TextEdit]:
    """One item less at an end of a tensor."""
    for bounds in ("1:", ":-1", ":, 1:", ":, :-1"):
        yield edited(cost, node, parsed(f"{node.id}[{bounds}]", node))


def of_statements(
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
