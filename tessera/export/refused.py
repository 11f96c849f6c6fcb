"""Why a converter refused a model: the operator it names, and the user's line that the operator comes from."""

from __future__ import annotations

import re

import torch
from torch.export import ExportedProgram

from tessera.errors import ExportError, SourceLine
from tessera.export.flat import FlatCall
from tessera.export.traced import cause, line_of_node, operator_name

_OPERATOR = re.compile(r"\b(aten[.:]+\w+)")


def refused(flat: FlatCall, program: ExportedProgram, form: str, error: Exception) -> ExportError:
    """The error to raise for ``error``, which the converter to ``form`` raised for ``program``."""
    named = [name.replace("::", ".") for name in _OPERATOR.findall(str(error))]
    words = f"no operator of it for {named[0]}" if named else cause(error)
    return ExportError(
        f"{type(flat.module).__name__} could not be written for {form}: {words}.",
        "A file is written when every operator of the model exists in its format.",
        "Write that part with other operators, or see which formats take it with tessera export --try-all.",
        _line(program, named),
    )


def _line(program: ExportedProgram, named: list[str]) -> SourceLine | None:
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                if any(operator_name(node.target).startswith(name) for name in named):
                    return line_of_node(node)
    return None
