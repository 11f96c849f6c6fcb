"""Keywords that a convolution may lack: ``dilation`` beside a padding made for it, as many groups as channels."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tessera.check.text_edit import TextEdit, edited, loaded

MISSING = 1.15  # in edits of one number, as in ``rewrites``


def keyword_edits(node: ast.Call) -> Iterator[TextEdit]:
    """Edits that add a keyword to what makes, or is, a convolution.

    Args:
        node: a call of any function.
    """
    name = ast.unparse(node.func).rpartition(".")[2]
    if not name.lower().startswith(("conv1d", "conv2d", "conv3d")) or not node.args:
        return
    said = {one.arg: one.value for one in node.keywords}
    for missing, beside in (("dilation", "padding"), ("padding", "dilation")):
        if missing not in said and isinstance(said.get(beside), (ast.Name, ast.Attribute)):
            yield _with(node, missing, said[beside])
    if "groups" not in said:
        channels = node.args[0]
        if name[0].islower():
            shape = ast.Attribute(loaded(channels), "shape", ast.Load())
            channels = ast.Subscript(shape, ast.Constant(1), ast.Load())
        yield _with(node, "groups", channels)


def _with(node: ast.Call, name: str, value: ast.expr) -> TextEdit:
    return edited(MISSING, node, ast.Call(node.func, node.args, [*node.keywords, ast.keyword(name, value)]))
