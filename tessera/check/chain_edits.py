"""What could stand in another order in a chain of methods: ``x.transpose(1, 2).flatten(2)`` for the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tessera.check.text_edit import TextEdit, edited, parsed

FORGOTTEN = 0.95  # to turn what is put together then
ORDER = 1.0  # in edits of one number, as in ``rewrites``; nothing is written that is not there
# What lays out a tensor, or takes a part of it, and gives something else before another of these than behind it.
_LAY_OUT = {
    *("transpose", "permute", "swapaxes", "movedim", "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"),
    *("expand", "repeat", "sum", "mean", "amax", "amin", "softmax", "log_softmax", "cumsum", "flip", "roll"),
}


def chain_edits(node: ast.Call) -> Iterator[TextEdit]:
    """The last two methods of a chain, the other way round; or one that was forgotten before what puts together.

    Args:
        node: a call.
    """
    match node:
        case ast.Call(ast.Attribute(ast.Call(ast.Attribute(inner, first), given, named), second), args, keywords):
            if first != second and {first, second} <= _LAY_OUT and ast.unparse(inner) not in ("torch", "F"):
                before = ast.Call(ast.Attribute(inner, second, ast.Load()), args, keywords)
                yield edited(ORDER, node, ast.Call(ast.Attribute(before, first, ast.Load()), given, named))
        case ast.Call(ast.Attribute(ast.Name() as inner, "flatten" | "reshape" | "view" as name), args, keywords):
            turned = parsed(f"{inner.id}.transpose(1, 2)", node)
            yield edited(FORGOTTEN, node, ast.Call(ast.Attribute(turned, name, ast.Load()), args, keywords))
