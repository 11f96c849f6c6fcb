"""What a number could have been called: a name that is at hand in place of a constant, a part of a tensor up to a name.

``values.split(3)`` may be meant as ``values.split(self.parts)``, and ``spectrum`` as ``spectrum[..., : self.modes]``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from tessera.check.text_edit import TextEdit, attributes, edited, parsed, stands_for

# In edits of one number, as in ``rewrites``.
NAMED = 1.1  # a name for a constant
CUT = 1.1  # a tensor up to a name
_MOST_NAMES = 6
_OF_WINDOWS = {"padding", "dilation", "stride", "groups", "kernel_size", "output_padding"}
_AXES = {  # whose numbers count dimensions, or whose steps no name has
    *("transpose", "permute", "swapaxes", "movedim", "squeeze", "unsqueeze", "sum", "mean", "flatten", "softmax"),
    *("log_softmax", "argmax", "argmin", "amax", "amin", "cat", "stack", "unbind", "flip", "cumsum", "size"),
}


def scope_edits(own: Sequence[ast.AST], names: Mapping[str, Any], sizes: Sequence[int]) -> Iterator[TextEdit]:
    """Edits that put a name where none is.

    Args:
        own: the statements and expressions of a function.
        names: what its names stood for when it was left.
        sizes: numbers that may be what should stand where another does.
    """
    numbers = _numbers_at_hand(names)
    fit = {text: number for text, number in numbers.items() if number in sizes}
    for node in own:
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            for arg in node.args if called not in _AXES else ():
                if isinstance(arg, ast.Constant) and type(arg.value) is int and arg.value > 1:
                    some = [text for text, number in numbers.items() if number != arg.value]
                    yield from (edited(NAMED, arg, parsed(text, arg)) for text in some[:_MOST_NAMES])
            for keyword in node.keywords if called not in _AXES else ():
                if keyword.arg in _OF_WINDOWS and isinstance(keyword.value, ast.Constant):
                    value = keyword.value
                    some = [
                        text for text, number in numbers.items() if type(value.value) is int and number != value.value
                    ]
                    yield from (edited(NAMED, value, parsed(text, value)) for text in some[:_MOST_NAMES])
            for arg in node.args:
                yield from _cut(arg, fit, names)
        elif isinstance(node, ast.BinOp):
            for part in (node.left, node.right):
                yield from _cut(part, fit, names)


def _numbers_at_hand(names: Mapping[str, Any]) -> dict[str, int]:
    """Whole numbers above 1 that the function names, or could: its own names and those of ``self``."""
    kept = {f"self.{name}": value for name, value in attributes(names.get("self")).items() if name[0] != "_"}
    known = {**{name: value for name, value in names.items() if name.isidentifier()}, **kept}
    return {text: value for text, value in known.items() if type(value) is int and value > 1}


def _cut(part: ast.expr, numbers: Mapping[str, int], names: Mapping[str, Any]) -> Iterator[TextEdit]:
    value = stands_for(part, names)[1]
    if not isinstance(part, ast.Name) or not isinstance(value, torch.Tensor):
        return
    for axis in range(value.dim()):
        size = value.shape[axis]
        for text, number in numbers.items():
            if type(size) is int and number < size:
                yield edited(CUT, part, parsed(f"{part.id}[{':, ' * axis}:{text}]", part))
