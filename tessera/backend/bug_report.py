"""What is written down when a pass or a compiler fails: enough to see why, and nothing of the user's but the graph.

One text file in Tessera's cache folder: what failed, versions, the graph as operators, shapes and dtypes, and the whole
error, of which the Report shows one line. The same failure on the same graph is written once.
"""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import fx

from tessera import torch_internals
from tessera.program.last_report import cache_folder

FOLDER = "bug_reports"


def write_bug_report(
    failed: str, job: str, error: Exception, graphs: Mapping[str, fx.Graph], inputs: Sequence[str] = ()
) -> Path | None:
    """Write it and return its path; None where nothing can be written.

    Args:
        failed: what did: a pass, a compiler.
        job: what it was to be done to.
        error: what was raised.
        graphs: by what they are, such as ``"before"``.
        inputs: of the job, in words.
    """
    texts = [f"== graph {name}\n{graph_text(graph)}" for name, graph in graphs.items()]
    reason = torch_internals.compiler_reason(error)
    versions = f"torch {torch.__version__}, Python {platform.python_version()}, {platform.platform()}"
    parts = [f"{failed} failed on {job}: {reason}\n{versions}\n", *texts]
    parts += ["== inputs\n" + "".join(f"{line}\n" for line in inputs)] if inputs else []
    parts += ["== error\n", *traceback.format_exception(error)]
    same = "".join([_PATH.sub("", reason), *texts])
    with contextlib.suppress(OSError, RuntimeError):
        path = cache_folder() / FOLDER / f"{_plain(failed)}-{hashlib.sha256(same.encode()).hexdigest()[:12]}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(parts), encoding="utf-8", errors="replace")
        return path
    return None


def leave_bug_report(
    failed: str, job: str, error: Exception, graphs: Mapping[str, fx.Graph], inputs: Sequence[str] = ()
) -> None:
    """Write it and have ``error`` say where, once: whoever tells of it then tells the path too."""
    if not getattr(error, "__notes__", ()) and (path := write_bug_report(failed, job, error, graphs, inputs)):
        error.add_note(f"a bug report is in {path}")


def graph_text(graph: fx.Graph) -> str:
    """One line a node: ``mm: float32[4, 8] = aten.mm(a, b)``; also of a graph that is not well formed."""
    return "\n".join(_line(node) for node in graph.nodes) + "\n"


def _line(node: fx.Node) -> str:
    value = node.meta.get("val", node.meta.get("example_value"))
    kind = f": {str(value.dtype).removeprefix('torch.')}{list(value.shape)}" if isinstance(value, torch.Tensor) else ""
    if node.op == "placeholder":
        return f"{node.name}{kind} = input"
    arguments = [str(one) for one in node.args] + [f"{name}={one}" for name, one in node.kwargs.items()]
    return f"{node.name}{kind} = {node.target}({', '.join(arguments)})"


_PATH = re.compile(r"\S*[/\\]\S*|0x[0-9a-f]+")  # what differs between two runs of one failure


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name)[:60] or "pass"
