"""Where a file leaves the model: the first operator whose value is another one, and the line it comes from.

Two things can have gone wrong. The traced model may take another path than the model (a size that Python's code looked
at): then both are run operator by operator. Or the file computes an operator otherwise: then the traced model is
written once more with every value as an output, and the file's values are compared with torch's in order.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tessera import torch_internals
from tessera.errors import SourceLine
from tessera.export.agreement import distance
from tessera.export.example import Example
from tessera.export.flat import FlatCall, tensors_of
from tessera.export.format import Format, Options
from tessera.export.traced import line_of_node, operator_name, traced
from tessera.users_code import users_line

_SHARE = 1e-3  # of a value's largest number: more than rounding
_SAME_VALUE = ("aten.detach", "aten.alias", "aten.lift_fresh", "aten.lift_fresh_copy", "aten.clone", "aten._to_copy")


@dataclass(frozen=True)
class Difference:
    """The first value that differs.

    Attributes:
        operator: what computes it, such as ``aten.gelu``.
        where: the user's line.
        distance: from the model's value; None where the traced model has no such value.
    """

    operator: str
    where: SourceLine | None
    distance: float | None

    def __str__(self) -> str:
        where = f" at {self.where}" if self.where else ""
        if self.distance is None:
            return f"The traced model takes another path than the model at {self.operator}{where}."
        return f"The first operator whose value differs, by {self.distance:.2g}, is {self.operator}{where}."


def first_difference(form: Format, flat: FlatCall, example: Example, case: Example) -> Difference | None:
    """Where the file that ``form`` makes of the model with ``example`` leaves it for ``case``; None: not found."""
    program = traced(flat, example)
    plain = torch_internals.unguarded_module(program)
    with torch.no_grad():
        if found := _other_path(flat, plain, case):
            return found
        return _other_value(form, plain, example, case)


def _other_path(flat: FlatCall, plain: torch.fx.GraphModule, case: Example) -> Difference | None:
    """The first operation in which the model and its trace differ for a case."""
    with _Recorder() as of_model:
        flat(*case.tensors)
    with _Recorder() as of_trace, contextlib.suppress(Exception):  # what it did until then is compared
        plain(*case.tensors)
    calls = of_trace.calls
    for at, (name, values, where) in enumerate(of_model.calls):
        if at >= len(calls) or calls[at][0] != name:
            return Difference(name, where, None)
        for ours, theirs in zip(values, calls[at][1], strict=False):
            if ours.shape != theirs.shape:
                return Difference(name, where, None)
            if ours.numel() and not distance(theirs, ours) <= _SHARE * _largest(ours):
                return Difference(name, where, distance(theirs, ours))
    return None


def _other_value(form: Format, plain: torch.fx.GraphModule, example: Example, case: Example) -> Difference | None:
    """The first value of the graph that the file computes otherwise."""
    nodes = _with_all_values(plain)
    flat = FlatCall(plain, example.tensors, {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{form.endings[0]}"
        form.write(flat, example, path, Options())
        assert form.load is not None  # noqa: S101 - weights do not diverge
        found = form.load(path)(case)
    for node, ours, theirs in zip(nodes, flat(*case.tensors), found, strict=True):
        if ours.shape != theirs.shape:
            return Difference(operator_name(node.target), line_of_node(node), float("inf"))
        if ours.numel() and not distance(theirs, ours) <= _SHARE * _largest(ours):
            return Difference(operator_name(node.target), line_of_node(node), distance(theirs, ours))
    return None


def _with_all_values(graph_module: torch.fx.GraphModule) -> list[torch.fx.Node]:
    """Make every tensor of the graph an output; the nodes, in order."""
    nodes = [
        node
        for node in graph_module.graph.nodes
        if node.op == "call_function" and isinstance(node.meta.get("val"), torch.Tensor)
    ]
    (output,) = (node for node in graph_module.graph.nodes if node.op == "output")
    output.args = (tuple(nodes),)
    graph_module.graph.set_codegen(torch.fx.graph.CodeGen())  # it takes and gives plain tuples now
    graph_module.recompile()
    return nodes


def _largest(tensor: torch.Tensor) -> float:
    return tensor.double().nan_to_num(0.0, 0.0, 0.0).abs().max().item()


class _Recorder(torch_internals.DispatchMode):
    """Every operation that runs inside: its name, its values as they were, and the user's line."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, list[torch.Tensor], SourceLine | None]] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = operator_name(func)
        if name not in _SAME_VALUE:
            where = users_line(sys._getframe(1))  # noqa: SLF001 - the documented way
            self.calls.append((name, [each.clone() for each in tensors_of(result)], where))
        return result
