"""Keywords that a convolution may lack: ``dilation`` beside a padding made for it, as many groups as channels."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tessera.check.text_edit import TextEdit, edited, loaded

MISSING, NAMED = 1.15, 0.95  # in edits of one number, as in ``rewrites``; what the function calls so itself
_KEYWORDS = ("stride", "padding", "dilation", "groups")


def keyword_edits(node: ast.Call, names: Mapping[str, Any]) -> Iterator[TextEdit]:
    """Edits that add a keyword to what makes, or is, a convolution.

    Args:
        node: a call of any function.
        names: what the names of the function that makes it stand for.
    """
    name = ast.unparse(node.func).rpartition(".")[2]
    if not name.lower().startswith(("conv1d", "conv2d", "conv3d")) or not node.args:
        return
    said = {one.arg: one.value for one in node.keywords}
    for missing, beside in (("dilation", "padding"), ("padding", "dilation")):
        if missing not in said and isinstance(said.get(beside), (ast.Name, ast.Attribute)):
            yield _with(node, missing, said[beside])
    for missing in _KEYWORDS:
        if missing not in said and type(names.get(missing)) is int:
            yield replace(_with(node, missing, ast.Name(missing, ast.Load())), cost=NAMED)
    if "groups" not in said:
        channels = node.args[0]
        if name[0].islower():
            shape = ast.Attribute(loaded(channels), "shape", ast.Load())
            channels = ast.Subscript(shape, ast.Constant(1), ast.Load())
        yield _with(node, "groups", channels)


def _with(node: ast.Call, name: str, value: ast.expr) -> TextEdit:
    return edited(MISSING, node, ast.Call(node.func, node.args, [*node.keywords, ast.keyword(name, value)]))
