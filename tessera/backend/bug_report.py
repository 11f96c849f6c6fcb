"""What is written down when a pass fails: enough to see why, and nothing of the user's but the graph.

A folder of Tessera's cache folder with ``report.json`` (the pass, the error with its traceback, versions) and the graph
before and after the pass as text: operators, shapes and dtypes. The same failure on the same graph is written once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import traceback
from pathlib import Path

import torch
from torch import fx

from tessera.backend.rewrite import Pass
from tessera.program import Program
from tessera.program.last_report import cache_folder

FOLDER = "bug_reports"


def write_bug_report(rewrite: Pass, program: Program, before: fx.Graph, error: Exception) -> Path | None:
    """Write it and return its folder; None where nothing can be written.

    Args:
        rewrite: the pass that failed.
        program: as the pass left it.
        before: its graph as it was.
        error: what was raised.
    """
    was, became = graph_text(before), graph_text(program.graph)
    told = {
        "pass": rewrite.name,
        "promise": rewrite.promise,
        "program": program.name,
        "error": f"{type(error).__name__}: {error}",
        "traceback": traceback.format_exception(error),
        "inputs": [f"{value.name}: {value.role}" for value in program.inputs],
        "versions": {"torch": torch.__version__, "python": platform.python_version(), "system": platform.platform()},
    }
    name = f"{_plain(rewrite.name)}-{hashlib.sha256((told['error'] + was).encode()).hexdigest()[:12]}"  # type: ignore[operator]
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_folder() / FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
        (folder / "before.txt").write_text(was, encoding="utf-8")
        (folder / "after.txt").write_text(became, encoding="utf-8")
        return folder
    return None


def graph_text(graph: fx.Graph) -> str:
    """One line a node: ``mm: float32[4, 8] = aten.mm(a, b)``; also of a graph that is not well formed."""
    return "\n".join(_line(node) for node in graph.nodes) + "\n"


def _line(node: fx.Node) -> str:
    value = node.meta.get("val")
    kind = f": {str(value.dtype).removeprefix('torch.')}{list(value.shape)}" if isinstance(value, torch.Tensor) else ""
    if node.op == "placeholder":
        return f"{node.name}{kind} = input"
    arguments = [str(one) for one in node.args] + [f"{name}={one}" for name, one in node.kwargs.items()]
    return f"{node.name}{kind} = {node.target}({', '.join(arguments)})"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)[:60] or "pass"
