"""Why a converter refused a model: the operator it names, and the user's line that the operator comes from."""

from __future__ import annotations

import re

import torch
from torch.export import ExportedProgram

from tessera.errors import ExportError
from tessera.export.flat import FlatCall
from tessera.export.traced import cause, line_of_node, operator_name

_OPERATOR = re.compile(r"\b(aten[.:]+\w+)")


def refused(flat: FlatCall, program: ExportedProgram, form: str, error: Exception) -> ExportError:
    """The error to raise for ``error``, which the converter to ``form`` raised for ``program``."""
    nodes = _first_nodes(program)
    named = [name.replace("::", ".") for name in _OPERATOR.findall(str(error))]
    # A converter may speak of others too, as of those that it knows; at fault is one that the model has.
    at_fault = next((name for name in named if name in nodes), named[0] if named else "")
    node = nodes.get(at_fault) or nodes.get(_as_called(at_fault, nodes))
    words = f"no operator of it for {at_fault}" if at_fault else cause(error)
    return ExportError(
        f"{type(flat.module).__name__} could not be written for {form}: {words}.",
        "A file is written when every operator of the model exists in its format.",
        "Write that part with other operators, or see which formats take it with tessera export --try-all.",
        None if node is None else line_of_node(node),
    )


def _as_called(name: str, nodes: dict[str, torch.fx.Node]) -> str:
    """The operator of the model that became ``name``, as ``max_pool3d`` becomes ``max_pool3d_with_indices``."""
    bare = name.removeprefix("aten.").strip("_")
    fitting = [
        each for each in nodes if each.startswith("aten.") and bare.startswith(each.removeprefix("aten.").strip("_"))
    ]
    return max(fitting, key=len, default="")


def _first_nodes(program: ExportedProgram) -> dict[str, torch.fx.Node]:
    """The first node of every operator, by the operator's name without its overload."""
    nodes: dict[str, torch.fx.Node] = {}
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                nodes.setdefault(".".join(operator_name(node.target).split(".")[:2]), node)
    return nodes
