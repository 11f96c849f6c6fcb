"""From a node of a graph back to the line the user wrote."""

from __future__ import annotations

import re

from torch import fx

from tessera.errors import SourceLine
from tessera.users_code import is_library, is_tesseras, source_line_at

_STABLE = "tessera_stable"  # the key of what a node is marked with, in what tracing copies from node to node
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def source_line(node: fx.Node) -> SourceLine | None:
    """The innermost line of the user's own code that made ``node``, or None where the graph does not know.

    Frames inside torch and Tessera are skipped as long as the user's own code is on the stack.
    """
    return line_of_trace(node.meta.get("stack_trace") or "")


def line_of_trace(stack_trace: str) -> SourceLine | None:
    """The innermost user line of a printed stack trace, or torch's where there is none; never Tessera's own."""
    frames = [frame for frame in frames_of_trace(stack_trace) if not is_tesseras(frame[0])]
    own = [frame for frame in frames if not is_library(frame[0])]
    for file, line in reversed(own or frames):
        return source_line_at(file, line)
    return None


def mark_as_stable(node: fx.Node) -> None:
    """``node`` is part of a stable form that stands for what the user wrote; tracing it again keeps that."""
    node.meta["custom"] = {**node.meta.get("custom", {}), _STABLE: True}


def is_marked_as_stable(node: fx.Node) -> bool:
    """Whether it was ``mark_as_stable`` that it was traced from."""
    return _STABLE in (node.meta.get("custom") or {})


def frames_of_trace(stack_trace: str) -> list[tuple[str, int]]:
    """File and line of every frame of a printed stack trace, the innermost last."""
    return [(m["file"], int(m["line"])) for m in _FRAME.finditer(stack_trace)]


def layer_path(node: fx.Node) -> str:
    """The module path of the layer that made ``node``, such as ``blocks.3.attn``; empty at the top level.

    A node of the backward belongs to the layer whose forward it follows.
    """
    stack = node.meta.get("nn_module_stack") or node.meta.get("fwd_nn_module_stack") or {}
    for path, _ in reversed(list(stack.values())):
        return _plain(str(path))
    return ""


def _plain(path: str) -> str:
    # Dynamo writes L['module']._modules['blocks'].3.attn or L['self'].blocks.3: keep what follows the root.
    path = re.sub(r"^L\[['\"]\w+['\"]\]\.?", "", path)
    path = re.sub(r"\.?_modules\[['\"]([^'\"]+)['\"]\]", r".\1", path)
    return path.removeprefix(".")


def describe(node: fx.Node) -> str:
    """``aten.log at model.py:12 in blocks.0``: how the Report and errors name a node."""
    operator = str(node.target).removesuffix(".default") if node.op == "call_function" else node.name
    place, layer = source_line(node), layer_path(node)
    return " ".join(filter(None, [operator, f"at {place}" if place else "", f"in layer {layer}" if layer else ""]))
